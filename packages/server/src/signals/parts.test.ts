/** One signal that means many, and many signals at once: everybody else has a turn in between. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { databases } from '../testing/harness.ts';
import { caep, type SignalSource, signalSource } from '../testing/signal-source.ts';
import { tokenClient } from '../testing/token-client.ts';
import { until } from '../testing/until.ts';

for (const database of databases) {
  describe(`signals that mean many, on ${database}`, () => {
    let idp: SignalSource;
    before(async () => {
      idp = await signalSource({ database });
    });
    after(() => idp.close());

    /** A person who answers for so many agents. */
    async function ownerOf(count: number) {
      const email = `owner-of-${count}@example.com`;
      const { id: owner } = await idp.server.admin<{ id: string }>('POST', '/people', { name: 'Ada', email });
      const agents: string[] = [];
      for (let i = 0; i < count; i++) {
        const body = { name: `of-${count}-${i}`, kind: 'workload', owner };
        agents.push((await idp.server.admin<{ id: string }>('POST', '/agents', body)).id);
      }
      return { subject: { format: 'email', email }, agents };
    }

    test('it is done in parts: others get tokens in between, and one event tells all of it', async () => {
      const { server } = idp;
      const { subject, agents } = await ownerOf(45);
      const client = await tokenClient(server);
      let over = false;
      const others = Array.from({ length: 3 }, async () => {
        while (!over) assert.equal((await client.send()).status, 200);
      });
      const claims = await idp.tell('risk-level-change', subject, { current_level: 'HIGH', principal: 'USER' });
      over = true;
      await Promise.all(others);
      const rows = await server.deps.db.all<{ type: string; agent: string | null; target: string | null }>(
        "select type, agent, target from events where type in ('agent.suspended', 'token.issued') order by arrival",
      );
      const between = rows
        .slice(rows.findIndex(({ type }) => type === 'agent.suspended'))
        .filter(
          ({ type, agent }, at, all) =>
            type === 'token.issued' &&
            agent === client.clientId &&
            at < all.findLastIndex((one) => one.type === 'agent.suspended'),
        );
      assert.ok(between.length > 0, 'nobody got a token until all of it was done');
      assert.deepEqual(
        new Set(rows.flatMap(({ type, target }) => (type === 'agent.suspended' ? [target] : []))),
        new Set(agents),
      );
      const outcomes = await idp.outcome(claims.jti);
      assert.deepEqual(outcomes, Array(45).fill(['suspended', 'owner']));
    });

    test('it does what it does once, at once and again, and who comes to its owner later is not meant', async () => {
      const { server } = idp;
      const { subject, agents } = await ownerOf(23);
      const set = await idp.sign(idp.claimsOf(`${caep}session-revoked`, subject));
      const answers = await Promise.all([idp.push(set), idp.push(set), idp.push(set)]);
      assert.deepEqual(
        answers.map(({ status }) => status),
        [202, 202, 202],
      );
      const { owner } = await server.admin<{ owner: string }>('GET', `/agents/${agents[0]}`);
      for (let i = 0; i < 10; i++) {
        await server.admin('POST', '/agents', { name: `later-${i}`, kind: 'workload', owner });
      }
      assert.equal((await idp.push(set)).status, 202);
      const revoked = await server.deps.db.all<{ target: string }>(
        "select target from events where type = 'token.revoked'",
      );
      assert.deepEqual(revoked.map(({ target }) => target).sort(), [...agents].sort());
    });

    test('of one source so many are on their way; another one does not wait for them', async () => {
      const asked: ServerResponse[] = [];
      const answer = idp.other.keysWanted;
      // its keys are asked for, and the answer hangs
      const hung = await idp.made();
      idp.other.keysWanted = (response) => void asked.push(response);
      const set = () => idp.sign(idp.claimsOf(`${caep}session-revoked`, { format: 'opaque', id: 'x' }));
      const sent = await Promise.all(Array.from({ length: 40 }, set));
      const pushed: Promise<{ status: number }>[] = [];
      const statuses: number[] = [];
      for (const one of sent) {
        const answered = idp.push(one, hung);
        void answered.then(({ status }) => statuses.push(status));
        pushed.push(answered);
      }
      await until(
        () => [asked.length, ...statuses],
        (seen) => seen[0] === 1 && seen.length === 1 + 8,
      );
      assert.deepEqual(new Set(statuses), new Set([429]));
      assert.equal((await idp.push(await set())).status, 202, 'another source');
      idp.other.keysWanted = answer;
      for (const response of asked) answer(response);
      const all = (await Promise.all(pushed)).map(({ status }) => status);
      assert.deepEqual(
        [202, 429].map((status) => all.filter((one) => one === status).length),
        [32, 8],
      );
      assert.equal((await idp.push(await set(), hung)).status, 202, 'there is room again');
    });
  });
}
