/** Another issuer whose word lets agents act for people: how it is believed no more. */
import { deleteTrustedIssuer, findTrustedIssuer, findTrustedIssuerOf } from '../federation/issuer-store.ts';
import type { TrustedIssuer } from '../federation/trusted-issuer.ts';
import { isId } from '../lib/ids.ts';
import { belongingOf, endSubject, narrowSubject, suspendSubject } from '../liveness/liveness.ts';
import { type Revocable, tokensRevoked } from './revocable.ts';

/** Ended for good it is trusted no more, and may be trusted anew: as another one. */
export const trustedIssuers: Revocable<TrustedIssuer | undefined> = {
  effects: ['suspend', 'end', 'tokens'],
  namedBy: 'issuer',
  locksOut: 'nobody',
  async find(q, reference, org) {
    const issuer = isId('trusted_issuer', reference)
      ? await findTrustedIssuer(q, reference)
      : await findTrustedIssuerOf(q, org, reference);
    if (issuer) return { id: issuer.id, name: issuer.issuer, org: issuer.org, over: false, thing: issuer };
    const { kind, org: whose } = await belongingOf(q, reference);
    if (kind !== 'trusted_issuer' || whose === null) return undefined;
    return { id: reference, name: reference, org: whose, over: true, thing: undefined };
  },
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const { id, org, thing: issuer } = target;
    const change = { id, reason, by, now };
    if (!issuer) return [];
    if (effect === 'tokens') {
      await narrowSubject(tx, change);
      return [tokensRevoked(target, 'trusted_issuer', reason)];
    }
    const rev = effect === 'suspend' ? await suspendSubject(tx, change) : await endSubject(tx, change);
    if (rev === undefined) return [];
    if (effect === 'end') await deleteTrustedIssuer(tx, id);
    const type = effect === 'suspend' ? 'trusted_issuer.suspended' : 'trusted_issuer.removed';
    return [{ type, org, target: id, changed: { issuer: issuer.issuer }, details: { reason } }];
  },
};
