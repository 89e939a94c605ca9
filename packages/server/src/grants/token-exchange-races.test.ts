/** What mandates count is exact, however many exchange at once and whenever the server is killed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { exchangeOf, exchangeScene } from '../testing/exchange.ts';
import { databases, startServer } from '../testing/harness.ts';
import { cutOff, killableServer, killableServers } from '../testing/killed.ts';
import { allPages } from '../testing/pages.ts';
import type { Answer, ServerForClients } from '../testing/token-client.ts';

interface Shown {
  ledger: { counter: string; spent: number }[];
}

const pay = (amount: number) => ({
  authorization_details: JSON.stringify([{ type: 'payment', amount, currency: 'EUR' }]),
});
const allowing = (uses: number, total: number, api: { identifier: string }) => ({
  resources: [{ resource: api.identifier, scope: 'book', authorization_details: [{ type: 'payment', amount: 1000 }] }],
  limits: { uses, amounts: [{ type: 'payment', amount: '/amount', total }] },
});

for (const database of databases) {
  describe(`exchanges at once, on ${database}`, () => {
    test('fifty of them, and as many get a token as the mandate says', async () => {
      const server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      try {
        const scene = await exchangeScene(server);
        const agent = await scene.agent();
        for (const [uses, total, wins] of [
          [20, 1000, 20],
          [100, 70.5, 7],
        ] as const) {
          const mandate = await scene.give(agent, allowing(uses, total, scene.api));
          const answers = await Promise.all(Array.from({ length: 50 }, () => agent.send(exchangeOf(mandate, pay(10)))));
          const given = answers.filter(({ status }) => status === 200);
          assert.equal(given.length, wins);
          for (const { status, body } of answers) if (status !== 200) assert.equal(body.error, 'invalid_grant');
          const { ledger } = await server.admin<Shown>('GET', `/mandates/${mandate}`);
          assert.deepEqual(
            ledger.map(({ counter, spent }) => [counter, spent]),
            [
              ['amount:0', wins * 10],
              ['uses', wins],
            ],
          );
        }
      } finally {
        await server.close();
      }
    });

    test('the same request twice takes once', async () => {
      const server = await startServer({ database });
      try {
        const scene = await exchangeScene(server);
        const agent = await scene.agent();
        const mandate = await scene.give(agent, allowing(10, 100, scene.api));
        const send = await agent.prepared(exchangeOf(mandate, pay(10)));
        const answers = await Promise.all([send(), send(), send()]);
        assert.equal(answers.filter(({ status }) => status === 200).length, 1);
        const { ledger } = await server.admin<Shown>('GET', `/mandates/${mandate}`);
        assert.deepEqual(
          ledger.map(({ spent }) => spent),
          [10, 1],
        );
      } finally {
        await server.close();
      }
    });

    test('killed in between: what is spent is what stands in the log', async (t) => {
      const killable = await killableServer(t, database);
      const { server } = killable;
      const scene = await exchangeScene(server);
      const agent = await scene.agent();
      const mandate = await scene.give(agent, allowing(45, 100_000, scene.api));
      const answered: Answer[] = [];
      for (const first of [5, 15]) {
        const requests = await Promise.all(
          Array.from({ length: 30 }, () => agent.prepared(exchangeOf(mandate, pay(10)))),
        );
        answered.push(...(await cutOff(killable, first, requests)).values());
        await killable.startAgain();
      }
      for (;;) {
        const answer = await agent.send(exchangeOf(mandate, pay(10)));
        if (answer.status !== 200) break;
        answered.push(answer);
      }
      const issued = await allPages(server, `/events?agent=${agent.clientId}&type=token.issued`);
      const { ledger } = await server.admin<Shown>('GET', `/mandates/${mandate}`);
      assert.deepEqual(
        ledger.map(({ spent }) => spent),
        [450, 45],
      );
      assert.equal(issued.length, 45, 'one token for each use');
      assert.ok(answered.filter(({ status }) => status === 200).length <= 45);
    });
  });
}

test('fifty over two nodes of one database, one of which is killed: exact, and never overdrawn', {
  skip: !databases.includes('postgres'),
}, async (t) => {
  const one = await killableServer(t, 'postgres');
  const [other] = (await killableServers(t, 'postgres', { joins: one.killables })).servers;
  const nodes = [one.server.address, other?.address as string] as const;
  let address = nodes[0];
  const server: ServerForClients = {
    ...one.server,
    get address() {
      return address;
    },
  };
  const at = <Result>(node: 0 | 1, send: () => Promise<Result>): Promise<Result> => {
    address = nodes[node];
    return send();
  };
  const scene = await exchangeScene(server);
  const agent = await scene.agent();
  const mandate = await scene.give(agent, allowing(35, 100_000, scene.api));
  const requests = await Promise.all(Array.from({ length: 50 }, () => agent.prepared(exchangeOf(mandate, pay(10)))));

  let answers = 0;
  let end: Promise<void> | undefined;
  const outcomes = await Promise.allSettled(
    requests.map(async (send, place) => {
      const answer = await at(place % 2 === 0 ? 0 : 1, send);
      if (++answers === 8) end = one.kill();
      return answer;
    }),
  );
  assert.ok(end, 'the end came in between');
  await end;
  const first = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.status : undefined));
  assert.ok(first.filter((status) => status === 200).length <= 35);
  first.forEach((status, place) => {
    assert.ok(place % 2 === 0 || status !== undefined, 'the other node answers everything');
  });

  await one.startAgain();
  const again = await Promise.all(requests.map((send, place) => at(place % 2 === 0 ? 1 : 0, send)));
  again.forEach(({ status }, place) => {
    if (first[place] === 200) assert.equal(status, 401, 'the other node takes no proof that this one took');
  });
  const more: number[] = [];
  for (const node of [0, 1] as const) {
    for (;;) {
      const { status, body } = await at(node, await agent.prepared(exchangeOf(mandate, pay(10))));
      if (status !== 200) assert.equal(body.error, 'invalid_grant', JSON.stringify(body));
      if (status !== 200) break;
      more.push(status);
    }
  }
  const given = [...first, ...again.map(({ status }) => status), ...more].filter((status) => status === 200);
  const issued = await allPages(one.server, `/events?agent=${agent.clientId}&type=token.issued`);
  const { ledger } = await one.server.admin<Shown>('GET', `/mandates/${mandate}`);
  assert.deepEqual(
    ledger.map(({ spent }) => spent),
    [350, 35],
  );
  assert.equal(issued.length, 35, 'one token for each use');
  assert.ok(given.length <= 35);
});
