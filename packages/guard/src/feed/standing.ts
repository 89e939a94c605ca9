/**
 * Whether a token still stands, by what the feed has told: without asking anybody for as long as the lease runs, and exact. Where it can't be known,
 * the identity provider is asked, or the answer is no, as the resource chose.
 */
import { linkTag, tagsOf } from '@bailiwick/protocol';
import type { Introspector } from '../introspection.ts';
import type { IssuerState } from '../issuer.ts';
import { Unavailable } from '../json-client.ts';
import type { Refreshed } from '../refreshed.ts';
import type { Registration } from '../registration.ts';
import { jitter, type Runtime } from '../runtime.ts';
import type { VerifiedToken } from '../tokens.ts';
import type { FeedClient } from './client.ts';
import type { WhenLost } from './wire.ts';

export interface FeedStanding {
  /** @throws Unavailable when it can't be known */
  stands: Introspector;
  /**
   * What is known at this moment, without asking: `undefined` if that is nothing. Cheap.
   */
  known(verified: VerifiedToken): boolean | undefined;
  /** Whether this guard follows a feed at all: an identity provider of before has none. */
  follows(): boolean;
  /** What is done while nothing can be known. */
  whenLost(): WhenLost;
}

/** Who comes before the first lease waits so long for it (ms), and who comes while one is being renewed so long for that. */
const firstLeaseMs = 3_000;
const regainMs = 250;
/**
 * In place of the feed an answer is believed more briefly (ms), and one that took longer than the second of these is too old when it is here: for so
 * long as the third says the identity provider waits for this guard before a revocation is acknowledged.
 */
const believedMs = 250;
const lateMs = 750;
const holdMs = 1_000;
/**
 * A guard without a lease asks about so many tokens at once, and not for so long (ms, give or take) after an answer that didn't come in time: an identity
 * provider that is too slow to renew leases would be slowed down further by all who ask in their place.
 */
const mostAtOnce = 16;
const restMs = 1_000;
/** Between two looks at the key set (ms), once a key of it was revoked. */
const renewFloorMs = 1000;

/** What a verified token carries along, so that it isn't held against the same knowledge twice. */
export interface FeedMark {
  /** As of which version of the view it was checked; -1 if it never was. */
  version: number;
  stands: boolean;
  /** Computed with the first check. */
  tags: readonly string[] | undefined;
  keyTag: string;
  /** Up to this number it is known to stand: its own, or a later one by the identity provider's word. */
  asOf: number;
}

/** Of a token that was not checked yet. */
export const unchecked = (rev: number): FeedMark => ({
  version: -1,
  stands: false,
  tags: undefined,
  keyTag: '',
  asOf: rev,
});

export function feedStanding(options: {
  runtime: Pick<Runtime, 'now' | 'random'>;
  client: FeedClient;
  issuerState: Refreshed<IssuerState>;
  registration: Refreshed<Registration>;
  introspect: Introspector;
  cacheMs: number;
  /** The guard's own choice, which may only be stricter. */
  whenLost: WhenLost | undefined;
}): FeedStanding {
  const { runtime, client, issuerState, registration, introspect, cacheMs, whenLost: own } = options;
  const { view, lease } = client;
  let underWay = 0;
  let restsUntil = Number.NEGATIVE_INFINITY;

  function known(verified: VerifiedToken): boolean | undefined {
    if (!lease.holds()) return undefined;
    const { mark } = verified;
    if (mark.version === view.version) return mark.stands;
    return check(verified);
  }

  function check({ mark, claims, key }: VerifiedToken): boolean | undefined {
    if (mark.tags === undefined) {
      // the feed speaks of tokens for its resource alone, and each of them names it
      if (client.resource === undefined || !claims.links.includes(linkTag(client.resource))) return undefined;
      mark.tags = tagsOf(claims, key.kid);
      mark.keyTag = linkTag(key.kid);
    }
    const { version } = view;
    // whoever has stolen a key writes any number into a token: nothing that it signed is believed, and the key is looked up anew
    if (view.has(mark.keyTag) || client.isRevokedKey(mark.keyTag)) {
      key.withdrawn = true;
      void issuerState.renew(renewFloorMs);
      return false;
    }
    const standing = view.check(mark.tags, mark.asOf);
    if (standing === 'unknown') return undefined;
    mark.version = version;
    mark.stands = standing === 'alive';
    return mark.stands;
  }

  function whenLost(): WhenLost {
    const choices = [own, client.whenLost, registration.peek()?.whenLost];
    return choices.includes('refuse') ? 'refuse' : 'introspect';
  }

  async function find(...asked: Parameters<Introspector>): Promise<boolean> {
    const [token, verified, , address, , request] = asked;
    if (!lease.holds() && client.isOffered !== false) {
      if (client.whenLost === undefined) await client.attempt(firstLeaseMs);
      else if (whenLost() === 'refuse') await client.attempt(regainMs);
      const stands = known(verified);
      if (stands !== undefined) return stands;
    }
    if (client.isOffered === false) return introspect(token, verified, runtime.now(), address, undefined, request);
    const isLost = !lease.holds();
    if (isLost && whenLost() === 'refuse') {
      throw new Unavailable('what was revoked can not be known, and the resource chose to refuse then');
    }
    return ask(token, verified, address, request);
  }

  async function ask(
    token: string,
    verified: VerifiedToken,
    address: string | undefined,
    request: Parameters<Introspector>[5],
  ): Promise<boolean> {
    const now = runtime.now();
    const askedAt = lease.elapsed();
    if (!lease.holds() && (askedAt < restsUntil || underWay >= mostAtOnce)) {
      throw new Unavailable('the identity provider is too slow to be asked about every token');
    }
    const isHeld = lease.holds();
    const { rev } = view;
    let stands = false;
    underWay += 1;
    try {
      const asking = {
        believedMs: Math.min(cacheMs, believedMs),
        holdMs: isHeld ? 0 : holdMs,
        confirmed: () => settled(verified, rev),
      };
      stands = await introspect(token, verified, now, address, asking, request);
      if (lease.elapsed() - askedAt > lateMs) throw new Unavailable('the answer about a token came too late');
    } catch (error) {
      restsUntil = lease.elapsed() + restMs * jitter(runtime);
      throw error;
    } finally {
      underWay -= 1;
    }
    if (isHeld && !lease.holds()) throw new Unavailable('the lease ran out while a token was asked about');
    return stands && known(verified) !== false;
  }

  /** What was known when the question was sent is settled by its answer; what was learned since is not. */
  function settled({ mark }: VerifiedToken, rev: number | undefined): void {
    if (rev === undefined || rev <= mark.asOf) return;
    if (mark.tags !== undefined && view.check(mark.tags, mark.asOf) === 'ended') return;
    mark.asOf = rev;
    mark.version = -1;
  }

  return {
    known,
    whenLost,
    follows: () => client.isOffered === true,
    stands(...asked) {
      return known(asked[1]) ?? find(...asked);
    },
  };
}
