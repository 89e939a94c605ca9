/**
 * Remembers which proofs of possession were used, for as long as they could be used again. Bounded, and when it is
 * full it takes no new ones rather than forget old ones: whoever could make it forget could replay.
 * @see RFC 9449 §11.1
 */
export interface ProofMemory {
  /** Answers whether this is the first use. Call it last, when the proof and the token it belongs to have been verified. */
  spend(proof: { jkt: string; jti: string }, now: number): 'fresh' | 'replayed' | 'full';
}

/**
 * Two generations, each as long as a proof can be accepted at all: what was in the older one when a third begins can't
 * pass any more by its `iat`.
 * @param windowMs the greatest age of a proof plus the tolerance for clocks ahead
 */
export function proofMemory({ windowMs, most }: { windowMs: number; most: number }): ProofMemory {
  let young = new Set<string>();
  let old = new Set<string>();
  let since = Number.NEGATIVE_INFINITY;
  return {
    spend({ jkt, jti }, now) {
      if (now - since >= windowMs) {
        old = now - since >= 2 * windowMs ? new Set() : young;
        young = new Set();
        since = now;
      }
      const id = `${jkt} ${jti}`; // a thumbprint has no space
      if (young.has(id) || old.has(id)) return 'replayed';
      if (young.size >= most) return 'full';
      young.add(id);
      return 'fresh';
    },
  };
}
