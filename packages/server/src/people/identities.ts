/**
 * By which names other issuers know our people. Such a name is personal: it lies sealed under the key of the person, found by a keyed hash, and
 * is gone with them.
 */
import type { Audit, Sealing } from '../audit/audit.ts';
import { blindIndex, seal, unseal } from '../audit/leaf.ts';
import type { Random } from '../lib/random.ts';
import type { Queries, Tx } from '../store/database.ts';
import { findIdentity, identityRows, insertIdentity } from './identity-store.ts';

export { deleteIdentities } from './identity-store.ts';

/** What an issuer's tokens carry as `iss` and `sub`. */
export interface Identity {
  issuer: string;
  subject: string;
}

interface Blinding {
  audit: Pick<Audit, 'indexKey'>;
}

const blindOf = ({ audit }: Blinding, org: string, { issuer, subject }: Identity): string =>
  blindIndex(audit.indexKey, 'identity', JSON.stringify([org, issuer, subject]));

/** Id of the person of this organization whom an issuer knows by this name. */
export const personOfIdentity = (
  q: Queries,
  deps: Blinding,
  org: string,
  identity: Identity,
): Promise<string | undefined> => findIdentity(q, blindOf(deps, org, identity));

/**
 * Links a name to a person. Answers false if it is somebody's already.
 * @param sealing of that person
 */
export function linkIdentity(
  tx: Tx,
  deps: Blinding & { random: Random },
  { org, sealing, identity }: { org: string; sealing: Sealing; identity: Identity },
): Promise<boolean> {
  const blind = blindOf(deps, org, identity);
  const { issuer, subject } = identity;
  const sealed = seal(deps, sealing.key, blind, { person: { issuer, subject } });
  return insertIdentity(tx, { blind, person: sealing.subject, sealed });
}

/** What each of these people is called elsewhere, in the order of issuers; nothing for whom nothing is linked. */
export async function identitiesOf(
  q: Queries,
  people: readonly string[],
): Promise<ReadonlyMap<string, readonly Identity[]>> {
  const found = new Map<string, Identity[]>();
  for (const { blind, person, sealed, key } of await identityRows(q, people)) {
    const { person: identity } = unseal(Buffer.from(key, 'base64url'), blind, sealed);
    found.set(person, [...(found.get(person) ?? []), identity as Identity]);
  }
  for (const identities of found.values()) identities.sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  return found;
}

const nameOf = ({ issuer, subject }: Identity): string => JSON.stringify([issuer, subject]);
