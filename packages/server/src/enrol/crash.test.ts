/** Killed while instances enrol, and started again: what was answered holds, and no enrolment token counts twice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { databases } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { cutOff, killableServer } from '../testing/killed.ts';
import { allPages } from '../testing/pages.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`a server that is killed while instances enrol, on ${database}`, () => {
    test('keeps every instance it answered, and spends no enrolment token twice', async (t) => {
      const killable = await killableServer(t, database);
      const { server } = killable;
      const client = await tokenClient(server);
      const rounds = 2;
      const each = 50;
      const enrolled = new Set<string>();
      for (let round = 0; round < rounds; round++) {
        const at = instanceClient(server, client);
        const secrets: string[] = [];
        for (let n = 0; n < each; n++) secrets.push((await at.token()).secret);
        const body = { token: { scope: 'tickets:read' } };
        const requests = await Promise.all(secrets.map((token) => at.prepared({ token, body })));
        const sends = requests.map(({ send }) => send);
        const answers = await cutOff(killable, (round + 1) * 10, sends);
        await killable.startAgain();
        const again = instanceClient(server, client);
        for (const [i, secret] of secrets.entries()) {
          const first = answers.get(i);
          const second = await again.enrol({ token: secret });
          if (first) {
            assert.equal(first.status, 201, JSON.stringify(first.body));
            assert.equal(second.status, 401, 'what was answered before stays spent');
            enrolled.add(first.body.instance);
            const { id } = { id: first.body.instance as string };
            const seen = await again.call({ id, signer: requests[i]?.signer as never }, 'GET');
            assert.equal(seen.status, 200, 'an instance that was answered lives');
          } else if (second.status === 201) enrolled.add(second.body.instance);
          else assert.equal(second.status, 401, `it was spent just before the end: ${JSON.stringify(second.body)}`);
        }
      }
      const instances = await allPages<Item>(server, `/instances?agent=${client.clientId}`);
      assert.equal(instances.length, rounds * each, 'one instance for each enrolment token');
      const ids = new Set(instances.map(({ id }) => id));
      for (const id of enrolled) assert.ok(ids.has(id));
      const events = await allPages<Item>(server, `/events?agent=${client.clientId}&type=instance.enrolled`);
      assert.deepEqual(new Set(events.map(({ target }) => target)), ids, 'one event for each');
      assert.equal(events.length, ids.size);
      const issued = await allPages<Item>(server, `/events?agent=${client.clientId}&type=token.issued`);
      const bound = new Set(issued.map(({ instance }) => instance));
      const asked = events.filter(({ decided_on }) => decided_on?.token);
      assert.deepEqual(bound, new Set(asked.map(({ target }) => target)), 'an instance and its token come together');
    });
  });
}

interface Item {
  id: string;
  target?: string;
  instance?: string;
  decided_on?: { token?: boolean };
}
