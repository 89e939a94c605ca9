/** What proves the key of an instance: a DPoP proof for this very request. @see RFC 9449 §4.3 */
import { type JwsAlgorithm, type PublicJwk, publicJwk } from '@bailiwick/protocol';
import { parsedProof, verifiedProof } from '../client-auth/dpop.ts';
import type { Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';

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
  const proof = parsedProof(dpop);
  const spend = verifiedProof(deps, proof, expected);
  const { kty, crv, x, y, n, e } = proof.parsed.header.jwk as unknown as PublicJwk;
  return {
    jwk: publicJwk({ kty, crv, x, y, n, e } as PublicJwk),
    alg: proof.alg,
    thumbprint: proof.jkt,
    by: 'dpop',
    dnsNames: [],
    proofs: [spend],
  };
}
