/** Transaction tokens, for services inside of the trust domain: they come from service to service in a header of their own, in place of an access token. */
import {
  linkTag,
  type ParsedJws,
  ProtocolError,
  requestersOf,
  type TransactionClaims,
  transactionTyp,
  validateTransactionClaims,
} from '@bailiwick/protocol';
import type { Caller } from './caller.ts';
import type { TokenProfile } from './registration.ts';

/** What a guard takes of them. */
export interface TransactionsTaken {
  trustDomain: string;
  /** No access token beside them, nor without them. */
  alone: boolean;
  /** How they look at a resource of this profile: one object for each. */
  profileOf(profile: TokenProfile): TokenProfile;
}

/** The same for a trust domain and what else is taken. */
export function transactionsTaken({ trustDomain, alone }: Pick<TransactionsTaken, 'trustDomain' | 'alone'>) {
  const made = new WeakMap<TokenProfile, TokenProfile>();
  return {
    trustDomain,
    alone,
    profileOf(profile: TokenProfile): TokenProfile {
      const known = made.get(profile);
      if (known !== undefined) return known;
      const { tag } = profile;
      const own = { typ: transactionTyp, audience: trustDomain, tag, dangerouslyBearer: true, isTransaction: true };
      made.set(profile, own);
      return own;
    },
  };
}

/**
 * Checks what a transaction token says, and that this resource is among those that take it. It then names what ends it here alone, too: its resource.
 * @throws ProtocolError
 */
export function transactionClaims(
  parsed: ParsedJws,
  { audience: trustDomain, tag }: TokenProfile,
  expected: { issuer: string; now: number; skewSeconds: number },
): TransactionClaims {
  const claims = validateTransactionClaims(parsed, { ...expected, trustDomain });
  if (tag === undefined || !claims.resources.some((id) => linkTag(id) === tag)) {
    throw new ProtocolError('wrong_resource', 'the transaction does not come to this resource');
  }
  return { ...claims, links: [...claims.links, tag] };
}

/** What the route learns of a transaction. */
export const transactionOf = (claims: TransactionClaims): NonNullable<Caller['transaction']> => ({
  txn: claims.txn,
  tctx: claims.tctx ?? {},
  rctx: claims.rctx ?? {},
  requestedBy: requestersOf(claims),
});
