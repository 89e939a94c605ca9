/** How many tasks there may be, and when they are forgotten. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { tidy } from '../jobs.ts';
import { subjectStatus } from '../liveness/liveness.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { tokenClient } from '../testing/token-client.ts';
import { findTask, insertTask } from './store.ts';
import { openAtMost, type Task } from './task.ts';

for (const database of databases) {
  describe(`tasks that are many, and tasks of the past, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    const fresh = async () => {
      const [orchestrator, agent] = await Promise.all([orchestratorClient(server), tokenClient(server)]);
      return { orchestrator, agent };
    };
    const minutes = 60_000;

    test('one agent has so many open at most: one that ended makes room for another', async () => {
      const { orchestrator, agent } = await fresh();
      const first = await orchestrator.open(agent.clientId);
      const model = (await findTask(server.deps.db, first.id)) as Task;
      await server.deps.db.transaction(async (tx) => {
        // as many rows as would be there, but for the last
        const [row] = await tx.kysely.selectFrom('tasks').selectAll().where('id', '=', first.id).execute();
        const copies = Array.from({ length: openAtMost - 2 }, (_, n) => ({
          ...(row as NonNullable<typeof row>),
          id: `tsk_${String(n).padStart(26, '0')}`,
        }));
        for (let n = 0; n < copies.length; n += 500) {
          await tx.kysely
            .insertInto('tasks')
            .values(copies.slice(n, n + 500))
            .execute();
        }
        assert.equal(await insertTask(tx, { ...model, id: `tsk_${'y'.repeat(26)}` }, openAtMost), undefined);
        assert.equal(await insertTask(tx, { ...model, id: `tsk_${'z'.repeat(26)}` }, openAtMost), 'full');
        assert.equal(await insertTask(tx, model, openAtMost + 1), 'known');
      });
      const body = { agent: agent.clientId, workflow: 'billing', lifetime_seconds: 60 };
      const refused = await orchestrator.call('POST', '/tasks', body);
      assert.deepEqual([refused.status, refused.body.errors[0].field], [409, 'agent']);
      const signed = await agent.send({ task: orchestrator.sign({ sub: agent.clientId }) });
      assert.deepEqual([signed.status, signed.body.error], [429, 'temporarily_unavailable']);
      const other = await tokenClient(server);
      assert.equal((await orchestrator.call('POST', '/tasks', { ...body, agent: other.clientId })).status, 201);
      assert.equal((await orchestrator.call('DELETE', `/tasks/${first.id}`)).status, 204);
      assert.equal((await orchestrator.call('POST', '/tasks', body)).status, 201);
    });

    test('those that ended are forgotten after a day, and those that are open are not', async () => {
      const { orchestrator, agent } = await fresh();
      const short = await orchestrator.open(agent.clientId, { lifetime_seconds: 60 });
      const long = await orchestrator.open(agent.clientId, { lifetime_seconds: 86_400 });
      server.clock.advance(24 * 60 * minutes);
      await tidy(server.deps);
      assert.ok(await findTask(server.deps.db, short.id), 'a day after its end it is listed still');
      server.clock.advance(2 * minutes);
      await tidy(server.deps);
      assert.equal(await findTask(server.deps.db, short.id), undefined);
      assert.equal(await subjectStatus(server.deps.db, short.id), undefined);
      assert.ok(await findTask(server.deps.db, long.id));
    });
  });

  test(`a signed task that was ended doesn’t come back when it is forgotten, on ${database}`, async (context) => {
    const server = await startServer({ database, config: { instances: { keep_ended_seconds: 0 } } });
    context.after(() => server.close());
    const [orchestrator, agent] = await Promise.all([orchestratorClient(server), tokenClient(server)]);
    const exp = Math.floor(server.clock.now() / 1000) + 900;
    const ends_at = new Date(server.clock.now() + 1000).toISOString();
    const task = orchestrator.sign({ sub: agent.clientId, claims: { exp }, task: { ends_at } });
    const signedId = async () => {
      const { items } = await server.admin<{ items: { id: string }[] }>('GET', `/tasks?agent=${agent.clientId}`);
      return items[0]?.id;
    };
    assert.equal((await agent.send({ task })).status, 200);
    const id = (await signedId()) as string;
    assert.equal((await orchestrator.call('DELETE', `/tasks/${id}`)).status, 204);
    for (let minute = 0; minute < 20; minute++) {
      assert.equal((await agent.send({ task })).status, 400, `after ${minute} minutes`);
      server.clock.advance(60_000);
      await tidy(server.deps);
    }
    assert.equal(await signedId(), undefined, 'it is forgotten by then');
  });
}
