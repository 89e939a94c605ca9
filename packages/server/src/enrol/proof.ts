/** What proves the key of an instance: a DPoP proof for this very request. @see RFC 9449 §4.3 */
import {
  type JwsAlgorithm,
  normalizeHtu,
  ProtocolError,
  type PublicJwk,
  parseDpopProof,
  publicJwk,
  verifyDpopProof,
} from '@bailiwick/protocol';
import type { Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { spendOf } from '../tokens/spend.ts';

const futureSeconds = 5;

/** A public key whose private half has just been used. */
export interface ProvenKey {
  jwk: PublicJwk;
  alg: JwsAlgorithm;
  /** RFC 7638. */
  thumbprint: string;
  by: 'dpop' | 'csr';
  /** What its certificates are to name beside the SPIFFE ID: what its request asked for. */
  dnsNames: readonly string[];
  /** What of the proof works once. */
  proofs: readonly Spend[];
}

/**
 * The key of a proof that was made for this request. A nonce in it is not asked for, nor looked at: one round trip has to
 * do, and the proof is spent.
 * @param expected `accessToken` where the proof has to name by `ath` what is presented beside it
 * @throws OAuthError `invalid_dpop_proof`
 */
export function keyOfProof(
  deps: Deps,
  dpop: string,
  expected: { method: string; urls: readonly string[]; accessToken?: string | undefined },
): ProvenKey {
  const { proof_max_age_seconds: maxAgeSeconds } = deps.config.dpop;
  try {
    const proof = parseDpopProof(dpop);
    const { jti, iat, htu: named } = proof.claims;
    const htu = expected.urls.find((url) => normalizeHtu(url) === named) ?? (expected.urls[0] as string);
    const { method: htm, accessToken } = expected;
    const now = deps.clock.now();
    verifyDpopProof(proof, { htm, htu, now, maxAgeSeconds, futureSeconds, ...(accessToken && { accessToken }) });
    const { kty, crv, x, y, n, e } = proof.parsed.header.jwk as unknown as PublicJwk;
    return {
      jwk: publicJwk({ kty, crv, x, y, n, e } as PublicJwk),
      alg: proof.alg,
      thumbprint: proof.jkt,
      by: 'dpop',
      dnsNames: [],
      proofs: [spendOf('dpop', proof.jkt, jti, (iat + maxAgeSeconds + 1) * 1000)],
    };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('invalid_dpop_proof', error.message, { reason: `proof ${error.code}` });
  }
}
