/** Messages of the feed, signed by the key that signs tokens. */
import {
  type EncodedHeader,
  encodeHeader,
  type FeedMessage,
  feedMessageType,
  signFeedMessage,
} from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { type ServerKey, signingKey } from '../keys/keys.ts';
import { numericDate } from '../lib/clock.ts';

/** Signs what is to be said to the guards of a resource. */
export type Sign = (resource: string, message: Omit<FeedMessage, 'iss' | 'aud' | 'iat'>) => string;

let encoded: { kid: string; header: EncodedHeader } | undefined;

/** Whatever algorithm the tokens of a resource are signed with, messages of the feed are signed by ES256. @param version of the registry */
export async function signer(deps: Deps, version: number): Promise<Sign> {
  const key = await signingKey(deps, version, 'ES256');
  const header = headerOf(key);
  const iss = deps.config.issuer;
  return (resource, message) =>
    signFeedMessage(header, { iss, aud: resource, iat: numericDate(deps.clock.now()), ...message }, key);
}

function headerOf({ kid, alg }: ServerKey): EncodedHeader {
  if (encoded?.kid !== kid) encoded = { kid, header: encodeHeader({ alg, typ: feedMessageType, kid }) };
  return encoded.header;
}
