/** Messages of the feed as they come over the wire: whoever sent them, the identity provider has signed them for this resource. */
import {
  type FeedMessage,
  feedMessageBounds,
  linkTag,
  ProtocolError,
  parseCompact,
  readFeedMessage,
  verifyParsed,
} from '@bailiwick/protocol';
import type { IssuerState } from '../issuer.ts';
import type { Refreshed } from '../refreshed.ts';

/** A message that can't be believed. Nothing is learned from it, and nobody else is to blame for what is said in it. */
export class BadFeed extends Error {
  override name = 'BadFeed';
}

export interface FeedReader {
  /**
   * @param resource the id of the resource; undefined where it isn't known: then it is the one that the message names
   * @throws BadFeed for what the identity provider has not signed for this resource
   */
  read(compact: unknown, resource: string | undefined): Promise<FeedMessage>;
}

/** A key that is new to us is looked up, but no more often than this (ms): these come from the identity provider, and not from just anybody. */
const renewFloorMs = 1000;

/**
 * @param options.isRevoked whether the feed itself has told that a key, by its tag, is worth nothing any more
 */
export function feedReader(options: {
  issuer: string;
  issuerState: Refreshed<IssuerState>;
  isRevoked: (tag: string) => boolean;
}): FeedReader {
  const { issuer, issuerState, isRevoked } = options;

  async function keyFor(kid: unknown) {
    if (typeof kid !== 'string') throw new BadFeed('a message of the feed names no key');
    if (isRevoked(linkTag(kid))) throw new BadFeed('a message of the feed is signed by a key that was revoked');
    const state = issuerState.peek() ?? (await issuerState.get());
    const known = state.keys.get(kid);
    if (known !== undefined) return known;
    await issuerState.renew(renewFloorMs);
    const found = issuerState.peek()?.keys.get(kid);
    if (found === undefined) throw new BadFeed('a message of the feed is signed by an unknown key');
    return found;
  }

  return {
    async read(compact, resource) {
      try {
        const parsed = parseCompact(compact as string, feedMessageBounds.length);
        const key = await keyFor(parsed.header.kid);
        if (!verifyParsed(parsed, key)) throw new BadFeed('a message of the feed has a bad signature');
        const { aud } = parsed.payload;
        return readFeedMessage(parsed, { issuer, resource: resource ?? String(aud) });
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        throw new BadFeed(`a message of the feed is not accepted: ${error.message}`);
      }
    },
  };
}
