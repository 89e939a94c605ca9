import { z } from 'zod';
import { forgetPurposes, ownsAgents } from '../agents/store.ts';
import { eraseSealed } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { endSubject, narrowSubject, registerSubject } from '../liveness/liveness.ts';
import { forgetPersonal } from '../log/forget.ts';
import { endMandatesOf } from '../mandates/forget.ts';
import { deleteIdentities } from '../people/identities.ts';
import type { Person } from '../people/people.ts';
import { erasePerson, findPerson, insertPerson, selectPeople, updatePerson } from '../people/store.ts';
import { forgetReasons } from '../revocations/store.ts';
import { forgetListed } from '../ssf/stream-store.ts';
import { forgetAnswersShowing } from '../web/idempotency-store.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, notFound } from '../web/problem.ts';
import { email, record } from './fields.ts';
import {
  areKnownByEmail,
  type ShownPerson,
  setIdentities,
  shownPersonInFull,
  showPeople,
  showPersonInFull,
  writablePerson,
} from './person.ts';
import { mustHold, within } from './reach.ts';
import { type Call, read, write } from './route.ts';
import { byId, changes, checkMatch, listQuery, pageFilter, pageOfSchema, patchedBy, patchOf } from './shapes.ts';

async function found(call: Call, id: string): Promise<Person> {
  const person = within(call, 'person', id, await findPerson(call.q, id));
  if (person.status === 'erased') throw notFound('person', id);
  return person;
}

/**
 * Answers whether an address says for whom agents act, by the word of an issuer.
 * @throws Problem 403 for an administrator who may not decide that, then
 */
async function mayNameAddress(call: Call, org: string): Promise<boolean> {
  if (!(await areKnownByEmail(call, org))) return false;
  mustHold(call, ['mandates:write'], 'to say by which address trusted issuers know a person');
  return true;
}

const byName = (identities: readonly object[]): string[] => identities.map((each) => JSON.stringify(each)).sort();

/** What was overwritten goes from the files too; a start does the same, should this one end before. */
function overwrite({ db, log }: Deps): void {
  db.dropOverwritten().catch((err) =>
    log.error({ err }, 'what was erased may lie in the database’s files until the next start'),
  );
}

export const personRoutes = [
  read({
    id: 'listPeople',
    path: '/people',
    summary: 'List people',
    scopes: ['people:read'],
    query: listQuery({ email: email.optional() }),
    response: pageOfSchema(shownPersonInFull),
    async handler(call, { query }) {
      const page = pageFilter('person', query);
      const people = await selectPeople(call.q, { org: call.org.id, email: query.email, ...page });
      const shown = await showPeople(call.q, people);
      return pageOf(people, page.shown, ({ id }) => shown.get(id) as ShownPerson);
    },
  }),
  write('POST', {
    id: 'createPerson',
    path: '/people',
    summary: 'Register a person',
    scopes: ['people:write'],
    status: 201,
    body: record(writablePerson),
    example: { name: 'Ada Lovelace', email: 'ada@example.com' },
    response: shownPersonInFull,
    async handler(call, { body }) {
      const { tx, deps, org, now } = call;
      const { name, email: address } = body;
      if (address !== undefined) await mayNameAddress(call, org.id);
      const status = 'active' as const;
      const person = { id: newId(deps, 'person'), org: org.id, name, email: address, status, createdAt: now };
      await insertPerson(tx, person);
      await registerSubject(tx, { id: person.id, kind: 'person', parent: org.id, now });
      await setIdentities(call, person, [], body.identities);
      // nothing of the person in the log but the id: there, erasing them would have to find it
      const event = { type: 'person.created' as const, org: org.id, target: person.id };
      return { body: await showPersonInFull(tx, person), event };
    },
  }),
  read({
    id: 'getPerson',
    path: '/people/{id}',
    summary: 'Show a person',
    scopes: ['people:read'],
    params: byId('person'),
    response: shownPersonInFull,
    handler: async (call, { params }) => showPersonInFull(call.q, await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updatePerson',
    path: '/people/{id}',
    summary: 'Change a person',
    scopes: ['people:write'],
    params: byId('person'),
    body: patchOf(writablePerson),
    example: { email: null },
    response: shownPersonInFull,
    async handler(call, { params, body }) {
      const person = await found(call, params.id);
      const { tx, now } = call;
      const before = await showPersonInFull(tx, person);
      checkMatch(call, before);
      const { name, email: address, identities = [] } = before;
      const wanted = patchedBy(z.strictObject(writablePerson), { name, email: address, identities }, body);
      const isElsewhere = JSON.stringify(byName(wanted.identities)) !== JSON.stringify(byName(identities));
      if (isElsewhere) await setIdentities(call, person, identities, wanted.identities);
      await updatePerson(tx, { id: person.id, name: wanted.name, email: wanted.email });
      const after = await showPersonInFull(tx, { ...person, name: wanted.name, email: wanted.email });
      const changed = Object.keys(changes(before, after));
      if (changed.length === 0) return { body: before };
      const isMoved = address !== wanted.email;
      // an address that was theirs would not be found any more when they are erased
      if (address !== undefined && isMoved) await forgetListed(tx, person.org, address);
      const isOther = isElsewhere || (isMoved && (await mayNameAddress(call, person.org)));
      // what agents got on the word of somebody who may be somebody else now
      const change = { id: person.id, reason: 'is somebody else to trusted issuers', by: call.caller.agent, now };
      const rev = isOther ? await narrowSubject(tx, change) : undefined;
      const event = {
        type: 'person.updated' as const,
        org: person.org,
        target: person.id,
        changed: { members: changed, ...(rev !== undefined && { rev }) },
      };
      return { body: after, event };
    },
  }),
  write('DELETE', {
    id: 'erasePerson',
    path: '/people/{id}',
    summary: 'Erase a person',
    description:
      'Forgets name and address for good, and what the log says of them, and ends the mandates that they gave; its leaves and their proofs stay. What exporters took elsewhere can not be recalled. Refused while the person answers for an agent.',
    scopes: ['people:write'],
    params: byId('person'),
    async handler(call, { params }) {
      const { tx, now } = call;
      const person = await found(call, params.id);
      if (await ownsAgents(tx, person.id)) {
        throw conflict('id', 'answers for agents that have not been retired: give these another owner first');
      }
      const reason = { reason: 'erased', by: call.caller.agent, now };
      const ended = await endMandatesOf(tx, person.id, reason);
      await erasePerson(tx, person.id);
      await deleteIdentities(tx, person.id);
      if (person.email !== undefined) await forgetListed(tx, person.org, person.email);
      await forgetAnswersShowing(tx, person.id); // given again, they would show name and address
      await forgetReasons(tx, person.id);
      await forgetPurposes(tx, person.id);
      await eraseSealed(tx, person.id);
      await forgetPersonal(tx, call.deps, person.id);
      await endSubject(tx, { id: person.id, ...reason });
      tx.afterCommit(() => overwrite(call.deps));
      const { org } = person;
      return {
        body: undefined,
        event: [
          { type: 'person.erased' as const, org, target: person.id },
          // without saying whose they were
          ...ended.map(({ id, agent }) => ({ type: 'mandate.ended' as const, org, target: id, changed: { agent } })),
        ],
      };
    },
  }),
] as const;
