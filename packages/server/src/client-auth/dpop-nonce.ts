/**
 * Nonces that need no memory: each stands for half a nonce's lifetime and is an HMAC that all nodes can make.
 * @see RFC 9449 §8
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface DpopNonces {
  /** The nonce to hand out at `now` (ms). */
  current(now: number): string;
  /** Whether we handed this one out, not longer ago than a nonce lives. */
  accepts(nonce: string, now: number): boolean;
}

/** @param secret shared by all nodes; @param lifetimeSeconds how long a nonce is accepted at most */
export function dpopNonces(secret: Buffer, lifetimeSeconds: number): DpopNonces {
  const windowMs = (lifetimeSeconds * 1000) / 2;
  const made = new Map<number, string>();
  const nonceOf = (window: number): string => {
    let nonce = made.get(window);
    if (nonce === undefined) {
      nonce = createHmac('sha256', secret)
        .update(`dpop-nonce ${window}`)
        .digest()
        .subarray(0, 16)
        .toString('base64url');
      if (made.size > 4) made.clear();
      made.set(window, nonce);
    }
    return nonce;
  };
  return {
    current: (now) => nonceOf(Math.floor(now / windowMs)),
    accepts(nonce, now) {
      const window = Math.floor(now / windowMs);
      // the one that begins next may come from a node whose clock is a little ahead
      return [window, window - 1, window + 1].some((each) => same(nonceOf(each), nonce));
    },
  };
}

function same(ours: string, theirs: string): boolean {
  return ours.length === theirs.length && timingSafeEqual(Buffer.from(ours, 'latin1'), Buffer.from(theirs, 'latin1'));
}
