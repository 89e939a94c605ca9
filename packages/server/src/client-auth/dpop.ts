/** Proof of possession at our own endpoints. @see RFC 9449 §5 and §8 */
import { type DpopProof, ProtocolError, parseDpopProof, verifyDpopProof } from '@bailiwick/protocol';
import type { Binding, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { spendOf } from '../tokens/spend.ts';

const skewSeconds = 5;

/**
 * Reads the proof and, before anything is verified, spent or written, sends for a nonce if it has none of ours.
 * @throws OAuthError `use_dpop_nonce`, `invalid_dpop_proof`
 * @see RFC 9449 §8
 */
export function readProof(deps: Deps, request: OAuthRequest): DpopProof | undefined {
  if (request.dpop === undefined) return undefined;
  const proof = refusing(() => parseDpopProof(request.dpop as string));
  const { nonce } = proof.claims;
  const needed = deps.config.dpop.nonce === 'required' || nonce !== undefined;
  if (needed && (nonce === undefined || !deps.nonces.accepts(nonce, deps.clock.now()))) {
    throw new OAuthError('use_dpop_nonce', 'repeat the request with the nonce of the DPoP-Nonce header in the proof');
  }
  return proof;
}

/**
 * The key that the proof proves, for a token to be bound to.
 * @param url where the request was sent, as metadata names it
 * @throws OAuthError `invalid_dpop_proof`
 * @see RFC 9449 §4.3
 */
export function provenBinding(deps: Deps, proof: DpopProof | undefined, url: string): Binding | undefined {
  if (!proof) return undefined;
  const maxAgeSeconds = deps.config.dpop.proof_max_age_seconds;
  refusing(() =>
    verifyDpopProof(proof, { htm: 'POST', htu: url, now: deps.clock.now(), maxAgeSeconds, futureSeconds: skewSeconds }),
  );
  const expiresAt = (proof.claims.iat + maxAgeSeconds + 1) * 1000;
  return { jkt: proof.jkt, proof: spendOf('dpop', proof.jkt, proof.claims.jti, expiresAt) };
}

function refusing<Result>(check: () => Result): Result {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('invalid_dpop_proof', error.message, { reason: `proof ${error.code}` });
  }
}
