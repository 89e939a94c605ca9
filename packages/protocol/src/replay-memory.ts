import { createHash } from 'node:crypto';

/** What became of a proof's `jti`: `fresh` (now spent), `replayed`, `forgotten` (too old to be known), or no room to remember it. */
export type Spent = 'fresh' | 'replayed' | 'forgotten' | 'key_full' | 'full';

/** The memory of DPoP proofs already used. */
export interface ReplayMemory {
  /**
   * Spends a proof once. Call it last, when the proof's signature and key have been verified: so only holders of a valid token
   * take up room.
   * @param issuedAt the proof's `iat`, ms
   */
  spend(proof: { jkt: string; jti: string; issuedAt: number }, now: number): Spent;
  readonly size: number;
}

/**
 * Remembers proofs by key and `jti` for as long as they could be presented again, and no longer than twice that: two generations,
 * each `windowMs` long.
 *
 * Bounded, and **when full it refuses new proofs instead of forgetting old ones**: forgetting would let a recorded proof in again,
 * and whoever can fill the memory could choose when. One key alone can fill only `perKey`, so that a single busy (or hijacked)
 * agent doesn't shut out the others.
 *
 * A clock set back would make proofs fresh again that have been forgotten; so what may have been forgotten is refused by its `iat`.
 * @param options.windowMs how long a proof can be accepted at all: the greatest age plus the tolerance for clocks ahead
 * @param options.perGeneration entries per generation; at most twice this many are held
 * @see RFC 9449 §11.1
 */
export function replayMemory(options: {
  windowMs: number;
  futureMs: number;
  perGeneration: number;
  perKey: number;
}): ReplayMemory {
  const { windowMs, futureMs, perGeneration, perKey } = options;
  let young = new Map<string, Set<string>>();
  let old = new Map<string, Set<string>>();
  let youngSize = 0;
  let oldSize = 0;
  let youngSince = Number.NEGATIVE_INFINITY;
  let latest = Number.NEGATIVE_INFINITY;
  let forgottenUpTo = Number.NEGATIVE_INFINITY;

  function turn(now: number): void {
    if (now - youngSince < windowMs) return;
    // Everything in `old` came before `youngSince`, so its `iat` was at most that plus the tolerance.
    if (oldSize > 0) forgottenUpTo = Math.max(forgottenUpTo, youngSince + futureMs);
    if (now - youngSince >= 2 * windowMs) {
      if (youngSize > 0) forgottenUpTo = Math.max(forgottenUpTo, latest + futureMs);
      old = new Map();
      oldSize = 0;
    } else {
      old = young;
      oldSize = youngSize;
    }
    young = new Map();
    youngSize = 0;
    youngSince = now;
  }

  return {
    spend({ jkt, jti, issuedAt }, now) {
      turn(now);
      latest = Math.max(latest, now);
      if (issuedAt <= forgottenUpTo) return 'forgotten';
      const id = jti.length <= 64 ? jti : `#${createHash('sha256').update(jti).digest('base64url')}`;
      const known = young.get(jkt);
      if (known?.has(id) || old.get(jkt)?.has(id)) return 'replayed';
      if (youngSize >= perGeneration) return 'full';
      if (known === undefined) young.set(jkt, new Set([id]));
      else if (known.size >= perKey) return 'key_full';
      else known.add(id);
      youngSize += 1;
      return 'fresh';
    },
    get size() {
      return youngSize + oldSize;
    },
  };
}
