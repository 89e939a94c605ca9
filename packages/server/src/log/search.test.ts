/** The search of the log: page after page, while events arrive, on every node, after a crash. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { appendEvent, eraseSealed, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { append, forget, idsOf } from '../testing/searched.ts';
import type { EventFilter } from './filter.ts';
import { forgetEvents, forgetPersonal } from './forget.ts';
import { caughtUp } from './indexer.ts';
import { searchEvents } from './search.ts';

const orgs = [`org_${'one'.padStart(26, '0')}`];
const agents = [`agt_${'1'.padStart(26, '0')}`];
const owners = [`tea_${'1'.padStart(26, '0')}`];

const some = (n: number): AuditEvent => ({
  type: 'token.refused',
  outcome: 'refused',
  org: orgs[0] as string,
  agent: agents[0] as string,
  reason: `number ${n}`,
  personal: { owner: owners[0] as string },
});

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
