import { createHmac } from 'node:crypto';
import { type DpopProof, ProtocolError, parseDpopProof, type ReplayMemory, verifyDpopProof } from '@bailiwick/protocol';
import { Refusal } from './refusal.ts';

/** What a proof is held against. */
export interface ProofCheck {
  maxAgeSeconds: number;
  futureSeconds: number;
  replay: ReplayMemory;
  nonces: Nonces | undefined;
}

/**
 * Checks that whoever sends the token has the key that it is bound to: one proof, made for this request and this token, now,
 * never seen before. The memory is touched last, so that only holders of a valid token and its key take up room.
 * @param bound the token's `cnf.jkt`
 * @throws Refusal `invalid_dpop_proof`, `use_dpop_nonce` or `unavailable` (the replay memory is full)
 * @see RFC 9449 §4.3 and §7.1
 */
export function checkProof(
  check: ProofCheck,
  proofs: readonly string[],
  expected: { htm: string; htu: string; accessToken: string; bound: string; now: number },
): void {
  if (proofs.length !== 1) {
    if (proofs.length === 0) throw refused('the request has no DPoP header', 'no proof');
    throw refused('the request has more than one DPoP header', 'two proofs');
  }
  const { htm, htu, accessToken, bound, now } = expected;
  const { maxAgeSeconds, futureSeconds, replay, nonces } = check;
  const proof = parsed(proofs[0]!);
  if (proof.jkt !== bound)
    throw refused('the proof was made with another key than the token is bound to', 'made with another key');
  try {
    const nonce = nonces === undefined ? {} : { nonce: (value: string) => nonces.accepts(value, now) };
    verifyDpopProof(proof, { htm, htu, accessToken, now, maxAgeSeconds, futureSeconds, ...nonce });
  } catch (error) {
    throw refusedBy(error);
  }
  const { jti, iat } = proof.claims;
  const spent = replay.spend({ jkt: proof.jkt, jti, issuedAt: iat * 1000 }, now);
  if (spent === 'replayed') throw refused('the proof was used before: make a new one for each request', spent);
  if (spent === 'forgotten') throw refused('the proof is too old', spent);
  if (spent === 'full' || spent === 'key_full') {
    throw new Refusal('unavailable', 'Too many requests at once: try again in a moment.', {
      reason: `replay memory: ${spent}`,
      retryAfterSeconds: maxAgeSeconds,
    });
  }
}

function parsed(proof: string): DpopProof {
  try {
    return parseDpopProof(proof);
  } catch (error) {
    throw refusedBy(error);
  }
}

function refusedBy(error: unknown): Refusal {
  if (!(error instanceof ProtocolError)) throw error;
  if (error.code === 'use_dpop_nonce') {
    return new Refusal('use_dpop_nonce', 'Repeat the request with the nonce from the DPoP-Nonce header in the proof.');
  }
  return refused(error.message, error.code);
}

function refused(why: string, reason: string): Refusal {
  return new Refusal('invalid_dpop_proof', `${why.charAt(0).toUpperCase()}${why.slice(1)}.`, { reason });
}

/** Nonces of our own: they show that a proof is fresh without trusting the caller's clock, and end with this process. */
export interface Nonces {
  current(now: number): string;
  accepts(nonce: string, now: number): boolean;
}

const nonceMs = 60_000;

/**
 * Nonces without memory: each is good for one to two minutes, and unpredictable without the secret.
 * @see RFC 9449 §9
 */
export function nonceMaker(secret: string): Nonces {
  const known = new Map<number, string>();

  function at(period: number): string {
    const before = known.get(period);
    if (before !== undefined) return before;
    const nonce = createHmac('sha256', secret).update(String(period)).digest('base64url').slice(0, 22);
    if (known.size >= 4) known.clear();
    known.set(period, nonce);
    return nonce;
  }

  return {
    current: (now) => at(Math.floor(now / nonceMs)),
    accepts: (nonce, now) => {
      const period = Math.floor(now / nonceMs);
      return nonce === at(period) || nonce === at(period - 1);
    },
  };
}
