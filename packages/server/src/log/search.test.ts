/** The search of the log: what it finds is what a naive scan finds, page after page, while events arrive, on every node, after a crash. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { appendEvent, eraseSealed, sealingFor } from '../audit/audit.ts';
import type { AuditEvent, EventType } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import type { EventFilter } from './filter.ts';
import { forgetEvents, forgetPersonal } from './forget.ts';
import { caughtUp } from './indexer.ts';
import { type Order, searchEvents } from './search.ts';

const orgs = ['one', 'two'].map((name) => `org_${name.padStart(26, '0')}`);
const agents = [1, 2, 3].map((n) => `agt_${String(n).padStart(26, '0')}`);
const tasks = [1, 2].map((n) => `tsk_${String(n).padStart(26, '0')}`);
const persons = [1, 2].map((n) => `per_${String(n).padStart(26, '0')}`);
const instances = [1, 2].map((n) => `ins_${String(n).padStart(26, '0')}`);
const credentials = [1, 2].map((n) => `crd_${String(n).padStart(26, '0')}`);
const owners = [1, 2].map((n) => `tea_${String(n).padStart(26, '0')}`);
const addresses = ['192.0.2.1', '192.0.2.2'];
const types: EventType[] = ['token.refused', 'access.used', 'agent.suspended', 'task.opened'];
const traces = ['a', 'b'].map((digit) => digit.repeat(32));

const event = fc.record({
  type: fc.constantFrom(...types),
  outcome: fc.constantFrom('allowed' as const, 'refused' as const),
  org: fc.constantFrom(...orgs),
  agent: fc.constantFrom(...agents),
  target: fc.option(fc.constantFrom(...agents, ...tasks), { nil: undefined }),
  resource: fc.constantFrom('https://one.example', 'https://two.example'),
  jti: fc.constantFrom('first', 'second'),
  reason: fc.constantFrom('role reader; policy starter/other-statement', 'no role gives it', 'Ärger im Büro'),
  by: fc.constantFrom([], ['starter/some-statement'], ['night/nobody', 'starter/some-statement']),
  trace: fc.option(fc.constantFrom(...traces), { nil: undefined }),
  owner: fc.constantFrom(...owners),
  address: fc.constantFrom(...addresses),
  task: fc.option(fc.constantFrom(...tasks), { nil: undefined }),
  person: fc.option(fc.constantFrom(...persons), { nil: undefined }),
  instance: fc.option(fc.constantFrom(...instances), { nil: undefined }),
  credential: fc.constantFrom(...credentials),
  operation: fc.constantFrom('read', 'write'),
  workflow: fc.constantFrom('refunds', 'exports'),
  later: fc.integer({ min: 0, max: 90_000 }),
});
type Made = typeof event extends fc.Arbitrary<infer Value> ? Value : never;

/** Mostly not: who asks for everything at once finds nothing. */
const maybe = <Value>(value: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
const question = fc.record({
  types: maybe(fc.subarray(types, { minLength: 1 })),
  outcome: maybe(fc.constantFrom('allowed', 'refused')),
  agent: maybe(fc.constantFrom(...agents)),
  target: maybe(fc.constantFrom(...agents)),
  about: maybe(fc.constantFrom(...agents, ...tasks)),
  task: maybe(fc.constantFrom(...tasks)),
  person: maybe(fc.constantFrom(...persons)),
  instance: maybe(fc.constantFrom(...instances)),
  credential: maybe(fc.constantFrom(...credentials)),
  operation: maybe(fc.constantFrom('read', 'burn')),
  workflow: maybe(fc.constantFrom('refunds', 'exports')),
  resource: maybe(fc.constantFrom('https://one.example', 'https://none.example')),
  jti: maybe(fc.constantFrom('first', 'third')),
  policy: maybe(fc.constantFrom('starter', 'starter/some-statement', 'night', 'starter/other-statement')),
  trace: maybe(fc.constantFrom(...traces)),
  owner: maybe(fc.constantFrom(...owners)),
  ownedBy: maybe(fc.constantFrom(...owners)),
  address: maybe(fc.constantFrom(...addresses)),
  text: maybe(fc.constantFrom('ROLE', 'büro ärger', 'suspended', 'reader starter', 'nothing')),
  since: maybe(fc.integer({ min: 0, max: 4_000_000 })),
  until: maybe(fc.integer({ min: 0, max: 4_000_000 })),
});

const made = ({
  owner,
  person,
  address,
  task,
  workflow,
  instance,
  credential,
  operation,
  by,
  later: _,
  ...same
}: Made): AuditEvent => ({
  ...same,
  trace: same.trace && `00-${same.trace}-${'c'.repeat(16)}-01`,
  instance,
  decided_on: { by, client: { credential }, operation, task, workflow },
  personal: { owner, address, person },
});

/** What the filter means, without any index. */
function fitsPlainly(filter: EventFilter, one: Made & { at: number }): boolean {
  const is = (wanted: string | undefined, ...values: (string | undefined)[]) =>
    wanted === undefined || values.includes(wanted);
  const said = `${one.type} ${one.reason} ${one.workflow} ${one.operation}`.toLowerCase().split(/[^\p{L}\p{N}]+/u);
  return (
    one.org === filter.org &&
    (filter.types === undefined || filter.types.includes(one.type)) &&
    is(filter.outcome, one.outcome) &&
    is(filter.agent, one.agent) &&
    is(filter.target, one.target) &&
    is(filter.about, one.agent, one.target, one.task, one.instance, one.credential) &&
    is(filter.task, one.task, one.target) &&
    is(filter.person, one.person) &&
    is(filter.instance, one.instance) &&
    is(filter.credential, one.credential) &&
    is(filter.operation, one.operation) &&
    is(filter.workflow, one.workflow) &&
    is(filter.resource, one.resource) &&
    is(filter.jti, one.jti) &&
    is(filter.policy, ...one.by, ...one.by.map((each) => each.split('/')[0])) &&
    is(filter.trace, one.trace) &&
    is(filter.owner, one.owner) &&
    is(filter.ownedBy, one.owner) &&
    is(filter.address, one.address) &&
    (filter.text ?? '')
      .toLowerCase()
      .split(' ')
      .every((word) => word === '' || said.includes(word)) &&
    (filter.since === undefined || one.at >= filter.since) &&
    (filter.until === undefined || one.at < filter.until)
  );
}

async function append(deps: Deps, event: AuditEvent): Promise<string> {
  const sealing = await sealingFor(deps, 1, event.personal.owner as string);
  return deps.db.settle((tx) => appendEvent(tx, deps, sealing, event));
}

async function idsOf(deps: Deps, filter: EventFilter, order: Order, limit: number): Promise<string[]> {
  const ids: string[] = [];
  let position: number | undefined;
  do {
    const { events, next } = await searchEvents(deps, filter, { order, limit, after: position });
    assert.ok(events.length <= limit);
    ids.push(...events.map(({ id }) => id));
    position = next;
  } while (position !== undefined);
  return ids;
}

const some = (n: number): AuditEvent => ({
  type: 'token.refused',
  outcome: 'refused',
  org: orgs[0] as string,
  agent: agents[0] as string,
  reason: `number ${n}`,
  personal: { owner: owners[0] as string },
});

/** These events are made up: the vocabulary has nothing to say about them. */
const forget = (server: TestServer) => server.deps.db.settle((tx) => tx.run('delete from events'));

for (const database of databases) {
  describe(`searching the log (${database})`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(async () => {
      await forget(server);
      await server.close();
    });

    test('finds what a naive scan finds, in both orders and pages of any size', { timeout: 300_000 }, async () => {
      const { deps, clock } = server;
      const all: (Made & { at: number; id: string })[] = [];
      for (const one of fc.sample(event, { numRuns: 150, seed: 8455 })) {
        clock.advance(one.later);
        all.push({ ...one, at: clock.now(), id: await append(deps, made(one)) });
      }
      const start = all[0]?.at as number;
      let matched = 0;
      const property = fc.asyncProperty(
        question,
        fc.constantFrom(...orgs),
        fc.constantFrom(1, 7, 200),
        async (asked, org, limit) => {
          const filter: EventFilter = {
            ...asked,
            org,
            since: asked.since === undefined ? undefined : start + asked.since,
            until: asked.until === undefined ? undefined : start + asked.until,
          };
          const expected = all.filter((one) => fitsPlainly(filter, one)).map(({ id }) => id);
          if (expected.length > 0) matched += 1;
          assert.deepEqual(await idsOf(deps, filter, 'oldest', limit), expected);
          assert.deepEqual(await idsOf(deps, filter, 'newest', limit), expected.toReversed());
        },
      );
      await fc.assert(property, { numRuns: 60, seed: 5 });
      assert.ok(matched > 30, `only ${matched} questions had an answer`);
    });

    test('pages stay as they were while events arrive; reading the other way one meets the new ones', async () => {
      const { deps } = server;
      const filter: EventFilter = { org: orgs[0] as string, text: 'number' };
      const ids: string[] = [];
      for (let n = 0; n < 12; n += 1) ids.push(await append(deps, some(n)));
      const first = await searchEvents(deps, filter, { order: 'newest', limit: 5 });
      for (let n = 12; n < 20; n += 1) ids.push(await append(deps, some(n)));
      const second = await searchEvents(deps, filter, { order: 'newest', limit: 5, after: first.next });
      assert.deepEqual(
        [...first.events, ...second.events].map(({ id }) => id),
        ids.slice(2, 12).toReversed(),
      );
      const older = await searchEvents(deps, filter, { order: 'oldest', limit: 15 });
      ids.push(await append(deps, some(20)));
      const rest = await searchEvents(deps, filter, { order: 'oldest', limit: 15, after: older.next });
      assert.deepEqual(
        [...older.events, ...rest.events].map(({ id }) => id),
        ids,
      );
    });

    test('an index that dies half way leaves nothing half done: the next has every event once', async () => {
      const { deps } = server;
      await caughtUp(deps);
      const before = await deps.db.get<{ n: number }>('select count(*) as n from event_terms');
      const id = await append(deps, { ...some(99), reason: 'crashed between two statements' });
      const dying: Deps = {
        ...deps,
        db: {
          ...deps.db,
          settle: (work, alone) =>
            deps.db.settle(async (tx) => {
              await work(tx);
              throw new Error('killed');
            }, alone),
        },
      };
      await assert.rejects(caughtUp(dying), /killed/);
      assert.deepEqual(await deps.db.get('select count(*) as n from event_terms'), before);
      assert.deepEqual(await idsOf(deps, { org: orgs[0] as string, text: 'crashed' }, 'newest', 5), [id]);
    });

    test('who is erased is found by nothing that is theirs, and nothing of it comes back', async () => {
      const { deps } = server;
      const person = `per_${'9'.repeat(26)}`;
      const org = orgs[0] as string;
      const mine = { ...some(1), personal: { owner: person, address: '198.51.100.77' } };
      await append(deps, mine);
      assert.equal((await idsOf(deps, { org, owner: person }, 'newest', 5)).length, 1);
      await append(deps, mine); // not in the index yet
      await deps.db.transaction(async (tx) => {
        await eraseSealed(tx, person);
        await forgetPersonal(tx, deps, person);
      });
      for (const filter of [{ owner: person }, { ownedBy: person }, { address: '198.51.100.77' }]) {
        assert.deepEqual(await idsOf(deps, { org, ...filter }, 'newest', 5), []);
      }
      const left = await deps.db.get<{ n: number }>(
        'select count(*) as n from personal_terms p join events e on e.arrival = p.arrival where e.personal not in (select id from personal)',
      );
      assert.equal(left?.n, 0);
    });

    test('an event whose time is over leaves the index with the log', async () => {
      const { deps } = server;
      const id = await append(deps, { ...some(1), reason: 'ephemeral' });
      await caughtUp(deps);
      await deps.db.transaction(async (tx) => {
        const row = await tx.get<never>('select * from events where id = ?', [id]);
        await forgetEvents(tx, deps, [row as never]);
        await tx.run('delete from events where id = ?', [id]);
      });
      const orphans = await deps.db.get<{ n: number }>(
        `select (select count(*) from event_terms where arrival not in (select arrival from events))
              + (select count(*) from personal_terms where arrival not in (select arrival from events)) as n`,
      );
      assert.equal(orphans?.n, 0);
    });

    test('a page looks at a bounded number of entries: it may be empty and still go on', async () => {
      const { deps } = server;
      const org = `org_${'7'.repeat(26)}`;
      // every event has one of two words, and none has both: neither is rare
      for (let n = 0; n < 3_200; n += 400) {
        await Promise.all(
          Array.from({ length: 400 }, (_, i) =>
            append(deps, { ...some(i), org, reason: (n + i) % 2 ? 'left' : 'right' }),
          ),
        );
      }
      let position: number | undefined;
      let pages = 0;
      do {
        const page = await searchEvents(
          deps,
          { org, text: 'left right' },
          { order: 'newest', limit: 10, after: position },
        );
        assert.deepEqual(page.events, []);
        pages += 1;
        position = page.next;
      } while (position !== undefined);
      assert.ok(pages >= 1 && pages <= 4, `${pages} pages`);
    });
  });
}

if (databases.includes('postgres')) {
  describe('the log of two nodes', () => {
    test('what is committed late is not passed over, and both nodes make one index', async () => {
      const server = await startServer({ database: 'postgres' });
      const other = await startServer({ joins: server });
      try {
        const filter: EventFilter = { org: orgs[0] as string, text: 'number' };
        const sealing = await sealingFor(server.deps, 1, owners[0] as string);
        let open = () => {};
        const gate = new Promise<void>((resolve) => {
          open = resolve;
        });
        let begun = () => {};
        const hasNumber = new Promise<void>((resolve) => {
          begun = resolve;
        });
        const late = server.deps.db.settle(async (tx) => {
          const id = await appendEvent(tx, server.deps, sealing, some(1));
          begun();
          await gate; // its number is given, its commit is not
          return id;
        });
        await hasNumber;
        // of other content: what is the same would wait for whoever stores it first
        const quick = await append(other.deps, { ...some(2), personal: { owner: owners[0], address: '192.0.2.9' } });
        const read = idsOf(other.deps, filter, 'oldest', 10);
        open();
        const id = await late;
        assert.deepEqual(await read, [id, quick]);
        assert.deepEqual(await idsOf(server.deps, filter, 'oldest', 10), [id, quick]);

        const many = Array.from({ length: 450 }, (_, n) => append(n % 2 ? server.deps : other.deps, some(n)));
        await Promise.all([...many, caughtUp(server.deps), caughtUp(other.deps)]);
        const [here, there] = await Promise.all([
          idsOf(server.deps, filter, 'oldest', 200),
          idsOf(other.deps, filter, 'oldest', 200),
        ]);
        assert.equal(new Set(here).size, 452);
        assert.deepEqual(here, there);
      } finally {
        await forget(server);
        await other.close();
        await server.close();
      }
    });
  });
}
