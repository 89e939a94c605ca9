/** Killed while signed tasks come with token requests, and started again: each is one task, written with its first token or not at all. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseCompact, taskIdIn } from '@bailiwick/protocol';
import { databases } from '../testing/harness.ts';
import { cutOff, killableServer } from '../testing/killed.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { allPages } from '../testing/pages.ts';
import { type Answer, tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`a server that is killed while signed tasks are presented, on ${database}`, () => {
    test('keeps every task that it answered, once, and none without its token', async (t) => {
      const killable = await killableServer(t, database);
      const { server } = killable;
      const [orchestrator, client] = [await orchestratorClient(server), await tokenClient(server)];
      const each = 50;
      const tasks = Array.from({ length: each }, () => orchestrator.sign({ sub: client.clientId }));
      const requests = tasks.map((task) => () => client.send({ task }));
      const answers = await cutOff(killable, 12, requests);
      await killable.startAgain();
      const taskOf = ({ body }: Answer) => (parseCompact(String(body.access_token)).payload.task as { id: string }).id;
      for (const [i, answer] of answers) {
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        assert.equal(taskOf(answer), taskIdIn(tasks[i] as string));
      }
      const written = new Set((await allPages<Item>(server, `/tasks?agent=${client.clientId}`)).map(({ id }) => id));
      for (const answer of answers.values()) assert.ok(written.has(taskOf(answer)), 'what was answered is there');
      const before = await allPages<Item>(server, `/events?agent=${client.clientId}&type=token.issued`);
      assert.deepEqual(
        new Set(before.map(({ decided_on }) => decided_on?.task)),
        written,
        'a task and its first token come together',
      );
      for (const task of tasks) {
        const again = await client.send({ task });
        assert.equal(again.status, 200, JSON.stringify(again.body));
        assert.equal(taskOf(again), taskIdIn(task));
      }
      const opened = await allPages<Item>(server, `/events?agent=${orchestrator.clientId}&type=task.opened`);
      assert.equal(opened.length, each, 'each was opened once');
      assert.deepEqual(new Set(opened.map(({ target }) => target)), new Set(tasks.map(taskIdIn)));
    });
  });
}

interface Item {
  id: string;
  target?: string;
  decided_on?: { task?: string };
}
