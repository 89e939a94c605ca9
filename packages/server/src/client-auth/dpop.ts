/** Proof of possession at our own endpoints. @see RFC 9449 §5 and §8 */
import { type DpopProof, normalizeHtu, ProtocolError, parseDpopProof, verifyDpopProof } from '@bailiwick/protocol';
import type { Binding, OAuthRequest, PresentedCertificate } from '../decide/plan.ts';
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
  if (!proof) return certificate && { x5t: certificate.x5t, proofs: [] };
  const maxAgeSeconds = deps.config.dpop.proof_max_age_seconds;
  const htu = urls.find((url) => normalizeHtu(url) === proof.claims.htu) ?? (urls[0] as string);
  refusing(() =>
    verifyDpopProof(proof, { htm: 'POST', htu, now: deps.clock.now(), maxAgeSeconds, futureSeconds: skewSeconds }),
  );
  const expiresAt = (proof.claims.iat + maxAgeSeconds + 1) * 1000;
  return {
    jkt: proof.jkt,
    x5t: certificate?.x5t,
    proofs: [spendOf('dpop', proof.jkt, proof.claims.jti, expiresAt)],
  };
}

function refusing<Result>(check: () => Result): Result {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('invalid_dpop_proof', error.message, { reason: `proof ${error.code}` });
  }
}
