/** Proof of possession at our own endpoints. @see RFC 9449 §5 and §8 */
import { type DpopProof, ProtocolError, parseDpopProof, verifyDpopProof } from '@bailiwick/protocol';
import type { Binding, OAuthRequest, PresentedCertificate, Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { futureSeconds } from '../lib/clock.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { spendOf } from '../tokens/spend.ts';

/**
 * Reads the proof and, before anything is verified, spent or written, sends for a nonce if it has none of ours.
 * @throws OAuthError `use_dpop_nonce`, `invalid_dpop_proof`
 * @see RFC 9449 §8
 */
export function readProof(deps: Deps, request: OAuthRequest): DpopProof | undefined {
  if (request.dpop === undefined) return undefined;
  const proof = parsedProof(request.dpop);
  const { nonce } = proof.claims;
  const needed = deps.config.dpop.nonce === 'required' || nonce !== undefined;
  if (needed && (nonce === undefined || !deps.nonces.accepts(nonce, deps.clock.now()))) {
    throw new OAuthError('use_dpop_nonce', 'repeat the request with the nonce of the DPoP-Nonce header in the proof');
  }
  return proof;
}

/**
 * What the request proves the possession of, for a token to be bound to: the key of a DPoP proof, the certificate of
 * the connection, or both.
 * @param urls where the request may have been sent, as metadata names it
 * @throws OAuthError `invalid_dpop_proof`
 * @see RFC 9449 §4.3, RFC 8705 §3
 */
export function provenBinding(
  deps: Deps,
  proof: DpopProof | undefined,
  certificate: PresentedCertificate | undefined,
  urls: readonly string[],
): Binding | undefined {
  const x5t = certificate?.x5t;
  if (proof) {
    const spend = verifiedProof(deps, proof, { method: 'POST', urls });
    return { jkt: proof.jkt, x5t, provenAt: proof.claims.iat * 1000, proofs: [spend] };
  }
  return certificate && { x5t, proofs: [] };
}

/** Takes a proof apart. @throws OAuthError `invalid_dpop_proof` */
export const parsedProof = (dpop: string): DpopProof => refusing(() => parseDpopProof(dpop));

/**
 * Checks that a proof was made for this request, now. Answers what is to be spent of it.
 * @param request `accessToken` where the proof has to name by `ath` what is presented beside it
 * @throws OAuthError `invalid_dpop_proof`
 * @see RFC 9449 §4.3
 */
export function verifiedProof(
  deps: Deps,
  proof: DpopProof,
  request: { method: string; urls: readonly string[]; accessToken?: string | undefined },
): Spend {
  const { method: htm, urls: htu, accessToken } = request;
  const maxAgeSeconds = deps.config.dpop.proof_max_age_seconds;
  const expected = { htm, htu, now: deps.clock.now(), maxAgeSeconds, futureSeconds };
  refusing(() => verifyDpopProof(proof, accessToken === undefined ? expected : { ...expected, accessToken }));
  const { iat, jti } = proof.claims;
  return spendOf('dpop', proof.jkt, jti, (iat + maxAgeSeconds + 1) * 1000);
}

function refusing<Result>(check: () => Result): Result {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('invalid_dpop_proof', error.message, { reason: `proof ${error.code}` });
  }
}
