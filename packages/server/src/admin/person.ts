/** A person as the admin API takes and shows them, and who they are to other issuers. */
import { z } from 'zod';
import { sealingWithin } from '../audit/audit.ts';
import { selectTrustedIssuers } from '../federation/issuer-store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { urlFault } from '../lib/safe-fetch.ts';
import { deleteIdentities, type Identity, identitiesOf, linkIdentity } from '../people/identities.ts';
import type { Person } from '../people/people.ts';
import type { Queries } from '../store/database.ts';
import { conflict } from '../web/problem.ts';
import { email, line, oneOf, record, setOf } from './fields.ts';
import { mustHold } from './reach.ts';
import type { Call, WriteCall } from './route.ts';
import { common } from './shapes.ts';

const identity = record({
  issuer: line(512, 1)
    .refine((url) => urlFault(url) === undefined, 'must be an https URL')
    .meta({ description: 'What its tokens carry as `iss`, exactly.' }),
  subject: line(255, 1).meta({ description: 'What they carry as `sub` for this person.' }),
});

export const writablePerson = {
  name: line(200, 1),
  email: email.optional().meta({
    description: 'Where they are reached. Trusted issuers know them by it only where a rule says so.',
  }),
  identities: setOf(identity, 20, 'identities').default([]).meta({
    description:
      'Who they are to trusted issuers. Sealed under their own key, and shown to administrators who may see people. Naming one takes `mandates:write`, too.',
  }),
};

/** As others see them: members of a team, say. */
export const shownPerson = z.strictObject({
  ...common('person'),
  name: z.string(),
  email: z.string().optional(),
  status: oneOf(['active', 'erased']),
});

export const shownPersonInFull = shownPerson.extend({
  identities: z.array(z.strictObject({ issuer: z.string(), subject: z.string() })).optional(),
});

export type ShownPerson = z.output<typeof shownPersonInFull>;

export const showPerson = (person: Person, identities: readonly Identity[] = []): ShownPerson => ({
  id: person.id,
  organization: person.org,
  name: person.name,
  ...(person.email !== undefined && { email: person.email }),
  ...(identities.length > 0 && { identities: identities.map(({ issuer, subject }) => ({ issuer, subject })) }),
  status: person.status,
  created_at: rfc3339(person.createdAt),
});

/** With who each of them is elsewhere. */
export async function showPeople(q: Queries, people: readonly Person[]): Promise<ReadonlyMap<string, ShownPerson>> {
  const identities = await identitiesOf(
    q,
    people.map(({ id }) => id),
  );
  return new Map(people.map((person) => [person.id, showPerson(person, identities.get(person.id))]));
}

export async function showPersonInFull(q: Queries, person: Person): Promise<ShownPerson> {
  return (await showPeople(q, [person])).get(person.id) as ShownPerson;
}

/**
 * Links these to a person, in place of all that was linked before.
 * @throws Problem 409 naming `identities` for one that is somebody else's, 403 for an administrator who may not let agents act for people
 */
export async function setIdentities(
  call: WriteCall,
  { id, org }: Person,
  before: readonly Identity[],
  wanted: readonly Identity[],
): Promise<void> {
  const { tx, deps } = call;
  const known = new Set(before.map((each) => JSON.stringify([each.issuer, each.subject])));
  const isNew = wanted.some(({ issuer, subject }) => !known.has(JSON.stringify([issuer, subject])));
  // whose token stands for whom decides for whom agents act
  if (isNew) mustHold(call, ['mandates:write'], 'to link an identity to a person');
  await deleteIdentities(tx, id);
  if (wanted.length === 0) return;
  const sealing = await sealingWithin(tx, deps, id);
  for (const each of wanted) {
    if (await linkIdentity(tx, deps, { org, sealing, identity: each })) continue;
    throw conflict('identities', 'name somebody whom another person of the organization is already');
  }
}

/** Whether some issuer's word for an address is enough to be the person who has it. */
export async function areKnownByEmail({ q }: Call, org: string): Promise<boolean> {
  const issuers = await selectTrustedIssuers(q, { org, limit: 1000 });
  return issuers.some(({ rules }) => rules.some(({ person }) => person === 'verified_email'));
}
