import { z } from 'zod';
import { forgetPurposes, ownsAgents } from '../agents/store.ts';
import { eraseSealed } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { endSubject, registerSubject } from '../liveness/liveness.ts';
import { forgetPersonal } from '../log/forget.ts';
import { endMandatesOf } from '../mandates/forget.ts';
import type { Person } from '../people/people.ts';
import { erasePerson, findPerson, insertPerson, selectPeople, updatePerson } from '../people/store.ts';
import { forgetReasons } from '../revocations/store.ts';
import { forgetListed } from '../ssf/stream-store.ts';
import { forgetAnswersShowing } from '../web/idempotency-store.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, notFound } from '../web/problem.ts';
import { email, line, oneOf, record } from './fields.ts';
import { within } from './reach.ts';
import { type Call, read, write } from './route.ts';
import {
  byId,
  changes,
  checkMatch,
  common,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
} from './shapes.ts';

const writable = {
  name: line(200, 1),
  email: email.optional().meta({ description: 'By which an upstream provider will know them.' }),
};

export const shownPerson = z.strictObject({
  ...common('person'),
  name: z.string(),
  email: z.string().optional(),
  status: oneOf(['active', 'erased']),
});

export const showPerson = (person: Person): z.output<typeof shownPerson> => ({
  id: person.id,
  organization: person.org,
  name: person.name,
  ...(person.email !== undefined && { email: person.email }),
  status: person.status,
  created_at: rfc3339(person.createdAt),
});

async function found(call: Call, id: string): Promise<Person> {
  const person = within(call, 'person', id, await findPerson(call.q, id));
  if (person.status === 'erased') throw notFound('person', id);
  return person;
}

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
    response: pageOfSchema(shownPerson),
    async handler(call, { query }) {
      const page = pageFilter('person', query);
      return pageOf(
        await selectPeople(call.q, { org: call.org.id, email: query.email, ...page }),
        page.shown,
        showPerson,
      );
    },
  }),
  write('POST', {
    id: 'createPerson',
    path: '/people',
    summary: 'Register a person',
    scopes: ['people:write'],
    status: 201,
    body: record(writable),
    example: { name: 'Ada Lovelace', email: 'ada@example.com' },
    response: shownPerson,
    async handler({ tx, deps, org, now }, { body }) {
      const person = { id: newId(deps, 'person'), org: org.id, name: body.name, email: body.email, createdAt: now };
      await insertPerson(tx, person);
      await registerSubject(tx, { id: person.id, kind: 'person', parent: org.id, now });
      // nothing of the person in the log but the id: there, erasing them would have to find it
      const event = { type: 'person.created' as const, org: org.id, target: person.id };
      return { body: showPerson({ ...person, status: 'active' }), event };
    },
  }),
  read({
    id: 'getPerson',
    path: '/people/{id}',
    summary: 'Show a person',
    scopes: ['people:read'],
    params: byId('person'),
    response: shownPerson,
    handler: async (call, { params }) => showPerson(await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updatePerson',
    path: '/people/{id}',
    summary: 'Change a person',
    scopes: ['people:write'],
    params: byId('person'),
    body: patchOf(writable),
    example: { email: null },
    response: shownPerson,
    async handler(call, { params, body }) {
      const person = await found(call, params.id);
      const before = showPerson(person);
      checkMatch(call, before);
      const wanted = patchedBy(z.strictObject(writable), { name: person.name, email: person.email }, body);
      const after = showPerson({ ...person, ...wanted, email: wanted.email });
      const changed = Object.keys(changes(before, after));
      if (changed.length === 0) return { body: before };
      await updatePerson(call.tx, { id: person.id, ...wanted });
      // an address that was theirs would not be found any more when they are erased
      if (person.email !== undefined && person.email !== wanted.email)
        await forgetListed(call.tx, person.org, person.email);
      const event = {
        type: 'person.updated' as const,
        org: person.org,
        target: person.id,
        changed: { members: changed },
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
