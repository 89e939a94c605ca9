import { type CertificateSources, checkCertificate } from './certificate.ts';
import type { Presented } from './credentials.ts';
import { checkProof, type ProofCheck } from './proof.ts';
import { Refusal } from './refusal.ts';
import type { GuardRequest, Place } from './request.ts';
import type { VerifiedToken } from './tokens.ts';

/** What bindings are held against. */
export interface BindingCheck {
  proof: ProofCheck;
  certificates: CertificateSources;
  runtime: { report(problem: string): void };
}

/**
 * A token bound to a key or a certificate is used with that or not at all; every member of `cnf` must match. The scheme is
 * `DPoP` wherever a key is among them, and else `Bearer`. The proof comes last: checking it spends it.
 * @throws Refusal `invalid_token`, `invalid_dpop_proof`, `use_dpop_nonce` or `unavailable`
 * @see RFC 9449 §7.1 and §7.2, RFC 8705 §3
 */
export function checkBinding(
  check: BindingCheck,
  request: GuardRequest,
  place: Place,
  presented: Presented,
  token: VerifiedToken,
  now: number,
): void {
  const { cnf } = token.claims;
  if (cnf === undefined) {
    checkUnbound(presented, token);
    return;
  }
  const { jkt, 'x5t#S256': x5t } = cnf;
  if (jkt === undefined && x5t === undefined)
    throw badToken('The access token is bound in an unknown way.', 'bound in an unknown way');
  checkScheme(presented, jkt !== undefined);
  if (x5t !== undefined) checkCertificate(check.certificates, request, x5t, check.runtime.report);
  if (jkt === undefined) return;
  const { externalUrl: htu } = place;
  const { token: accessToken, proofs } = presented;
  checkProof(check.proof, proofs, { htm: request.method, htu, accessToken, bound: jkt, now });
}

function checkUnbound(presented: Presented, token: VerifiedToken): void {
  if (!token.profile.dangerouslyBearer) throw badToken('The access token is bound to no key.', 'bound to no key');
  if (presented.scheme !== 'Bearer')
    throw badToken('The access token is bound to no key: use Bearer.', 'bound to no key, but sent as DPoP');
}

function checkScheme({ scheme }: Presented, boundToKey: boolean): void {
  if (boundToKey && scheme !== 'DPoP') {
    throw badToken(
      'The access token is bound to a key: send it as "DPoP" with a proof, not as "Bearer".',
      'bound, but sent as Bearer',
    );
  }
  if (!boundToKey && scheme !== 'Bearer') {
    throw badToken(
      'The access token is bound to a certificate and to no key: send it as "Bearer".',
      'bound to a certificate, but sent as DPoP',
    );
  }
}

function badToken(detail: string, reason: string): Refusal {
  return new Refusal('invalid_token', detail, { reason });
}
