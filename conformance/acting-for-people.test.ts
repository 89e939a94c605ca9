/**
 * Agents that act for a person, all the way: a real server, agents by the SDK that pass a mandate on, and APIs behind guards that follow what is
 * revoked. At every hop both stand in the token, and whatever ends in between is refused at once.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Agent, type BailiwickError, createAgent, enrol, type OnBehalf } from '@bailiwick/agent';
import { generateJwk, type PrivateJwk, publicJwk } from '@bailiwick/protocol';
import { type Caller, createGuard, type DecisionRecord, type Guard, sendAnswer } from '../packages/guard/src/index.ts';
import { systemClock } from '../packages/server/src/lib/clock.ts';
import { databases, startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { until } from '../packages/server/src/testing/until.ts';

const scopes = ['trips:read', 'trips:book'];
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';

type Told = Pick<Caller, 'person' | 'agent' | 'mandate'> & { chain: string[]; from?: Told };

/** Whoever calls APIs, for itself or for somebody. */
interface Fetching {
  fetch(url: string): Promise<Response>;
}

/** An API behind a guard: it answers who called. What it does beside that, its handler says. */
interface Api {
  base: string;
  id: string;
  records: DecisionRecord[];
  /** The number of the last revocation that its guard has heard of. */
  applied(): number;
  close(): Promise<void>;
}

interface Registered {
  id: string;
  key: PrivateJwk;
  agent: Agent;
}

for (const database of databases) {
  describe(`acting for people, on ${database}`, () => {
    let server: TestServer;
    let trips: Api;
    let [assistant, scout, courier]: Registered[] = [];
    let person: string;
    let owner: string;
    let role: string;
    const apis: Api[] = [];

    const post = (path: string, body: object = {}) => server.admin<{ id: string; agent: string }>('POST', path, body);

    async function api(name: string, more: (caller: Caller, token: string) => Promise<Told | undefined>): Promise<Api> {
      let guard: Guard | undefined;
      const listener: Server = createServer(async (request, response) => {
        const decision = await (guard as Guard).check(request);
        if (!decision.allowed) return sendAnswer(response, decision);
        const { caller } = decision;
        const { person, agent, mandate, chain } = caller;
        const from = await more(caller, (request.headers.authorization ?? '').replace('DPoP ', ''));
        response.end(JSON.stringify({ person, agent, mandate, chain: chain.map(({ subject }) => subject), from }));
      }).listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const base = `http://localhost:${(listener.address() as AddressInfo).port}`;
      const { id } = await post('/resources', {
        identifier: base,
        name,
        scopes: scopes.map((each) => ({ name: each })),
        operations: [
          { name: 'look', method: 'GET', path: '/trips', scope: ['trips:read'] },
          { name: 'book', method: 'POST', path: '/trips', scope: ['trips:book'] },
        ],
      });
      const jwk = await generateJwk('ES256');
      const registered = await post('/guards', { name: `${name}-guard`, resource: id, owner, jwk: publicJwk(jwk) });
      const records: DecisionRecord[] = [];
      guard = createGuard({
        issuer: server.issuer,
        resource: base,
        credential: { client_id: registered.agent, jwk },
        demands: { operations: { book: { person: true } } },
        onDecision: (record) => records.push(record),
        report: () => {},
      });
      await guard.ready();
      const made = {
        base,
        id,
        records,
        applied: () => guard?.status().feed?.applied ?? -1,
        async close() {
          await guard?.close();
          listener.closeAllConnections();
          listener.close();
        },
      };
      apis.push(made);
      return made;
    }

    async function registered(name: string): Promise<Registered> {
      const key = await generateJwk('ES256');
      const { id } = await post('/agents', {
        name,
        kind: 'ai_agent',
        owner,
        grants: ['client_credentials', exchange],
        resources: [{ resource: trips.id, default: true, scope: ['trips:read'] }],
        limits: { tokens_per_minute: 10_000 },
      });
      await post('/credentials', { agent: id, jwk: publicJwk(key) });
      await server.admin('PUT', `/agents/${id}/roles/${role}`);
      return { id, key, agent: createAgent({ issuer: server.issuer, clientId: id, key }) };
    }

    const give = async (more: object = {}) =>
      (
        await post('/mandates', {
          person,
          agent: all()[0].id,
          resources: [{ resource: trips.base, scope: scopes.join(' ') }],
          passing: { depth: 3 },
          expires_in: 3600,
          ...more,
        })
      ).id;
    const all = () => [assistant, scout, courier] as [Registered, Registered, Registered];
    /** Ended or suspended, as its kind is by default; and acknowledged: from then on no guard accepts what rests on it. */
    const revoke = async (subject: string) => {
      const { acknowledgement } = await server.admin<{ acknowledgement: { complete: boolean } }>(
        'POST',
        '/revocations',
        {
          subject,
          reason: 'a test',
          wait_seconds: 20,
        },
      );
      assert.equal(acknowledgement.complete, true);
    };
    /** The guard of the trips has heard of all that was revoked. */
    const heard = async () => {
      const { items } = await server.admin<{ items: { rev: number }[] }>('GET', '/revocations?limit=1');
      const latest = items[0]?.rev ?? 0;
      await until(
        () => trips.applied(),
        (applied) => applied >= latest,
      );
    };
    const look = (by: Fetching) => by.fetch(`${trips.base}/trips`);
    const told = async (response: Promise<Response>) => {
      const answer = await response;
      const text = await answer.text();
      assert.equal(answer.status, 200, text);
      return JSON.parse(text) as Told;
    };
    const refusal = (by: Fetching) =>
      look(by).then(
        async (response) => assert.fail(`${response.status} ${await response.text()}`),
        ({ code, message }: BailiwickError) => ({ code, message }),
      );
    const spiffeId = (name: string) => `spiffe://${new URL(server.issuer).hostname}/default/${name}`;

    before(async () => {
      server = await startServer({ database, clock: { ...systemClock, advance: () => {} } });
      owner = (await post('/teams', { name: 'travel' })).id;
      person = (await post('/people', { name: 'Ada Lovelace', email: 'ada@example.com' })).id;
      trips = await api('trips', async () => undefined);
      role = (await post('/roles', { name: 'travel', permissions: [{ resource: trips.id, scopes }] })).id;
      [assistant, scout, courier] = [
        await registered('assistant'),
        await registered('scout'),
        await registered('courier'),
      ];
    });
    after(async () => {
      for (const each of apis) await each.close();
      await server.close();
    });

    /** Passed on from the assistant to the scout, and from there to the courier. */
    async function line() {
      const [a, b, c] = all();
      const root = await give();
      const branch = await a.agent.delegate({ mandate: root, to: b.id, passing: { depth: 1 } });
      const leaf = await b.agent.delegate({ mandate: branch, to: c.id });
      return {
        root,
        branch,
        leaf,
        actors: [a.agent.onBehalfOf(root), b.agent.onBehalfOf(branch), c.agent.onBehalfOf(leaf)],
      };
    }

    test('both stand in the token: the person at the root, and everybody who acts', async () => {
      const { root, branch, leaf, actors } = await line();
      const [a, b, c] = all();
      const names = ['assistant', 'scout', 'courier'].map(spiffeId);
      for (const [depth, mandate, { id }] of [
        [0, root, a],
        [1, branch.id, b],
        [2, leaf.id, c],
      ] as const) {
        assert.deepEqual(await told(look(actors[depth] as OnBehalf)), {
          person,
          agent: id,
          mandate,
          chain: names.slice(0, depth + 1).toReversed(),
        });
      }
    });

    test('what takes somebody’s authority is done with it, and not without', async () => {
      const [{ agent }] = all();
      const book = (by: OnBehalf | Agent) =>
        by.fetch(`${trips.base}/trips`, { method: 'POST', body: 'Vienna', scope: ['trips:book'] });
      assert.equal((await told(book(agent.onBehalfOf(await give())))).person, person);
      const refused = await book(agent);
      assert.equal(refused.status, 403);
      assert.match(await refused.text(), /"type":"urn:bailiwick:problem:wrong-authority"/);
    });

    test('a branch that is ended stops what is below it, at once, and nothing above', async () => {
      const { branch, actors } = await line();
      const [above, at, below] = actors as [OnBehalf, OnBehalf, OnBehalf];
      for (const each of actors) await told(look(each));
      const before = trips.records.length;
      await branch.end();
      await heard();
      for (const each of [below, at]) {
        const { code, message } = await refusal(each);
        assert.equal(code, 'invalid_request', message);
        assert.ok(message.includes(branch.id), message);
      }
      await told(look(above));
      assert.deepEqual(
        trips.records.slice(before).map(({ outcome, reason }) => [outcome, reason]),
        [
          ['refused', 'no longer active'],
          ['refused', 'no longer active'],
          ['allowed', undefined],
        ],
        'the guard was the first to know',
      );
    });

    test('the mandate at the root is ended while three agents work: none of them gets any further', async () => {
      const { root, actors } = await line();
      for (const each of actors) await told(look(each));
      await revoke(root);
      for (const each of actors) assert.ok((await refusal(each)).message.includes(root));
    });

    test('a suspended agent in the middle stops what flows through it, and only that', async () => {
      const { actors } = await line();
      const [, { id }] = all();
      const [above, , below] = actors as [OnBehalf, OnBehalf, OnBehalf];
      for (const each of actors) await told(look(each));
      await revoke(id);
      try {
        assert.ok((await refusal(below)).message.includes(id));
        await told(look(above));
      } finally {
        await post(`/agents/${id}/resume`);
      }
      await told(look(below));
    });

    test('a refusal, and an answer that is less than it could be, name the link of the chain', async () => {
      const [a, b] = all();
      const root = await give();
      const part = await a.agent.delegate({ mandate: root, to: b.id, resource: trips.base, scope: ['trips:read'] });
      const acting = b.agent.onBehalfOf<string>(part, { resource: trips.base });
      const beyond = await acting.token({ scope: ['trips:book'] }).catch((error: BailiwickError) => error);
      assert.ok(beyond instanceof Error && beyond.message.includes(`mandate ${part.id}`), String(beyond));
      const token = await acting.token();
      assert.deepEqual(token.scope, ['trips:read']);
      const more = { mandate: part, to: b.id, resource: trips.base, scope: ['trips:book'] };
      const wider = await b.agent.delegate<string>(more).catch((error: BailiwickError) => error);
      assert.ok(wider instanceof Error && wider.message.startsWith('passing a mandate on:'), String(wider));
    });

    test('what is counted is spent by each token, and never more', async () => {
      const [{ agent }] = all();
      const mandate = await give({ limits: { uses: 2 } });
      const acting = agent.onBehalfOf(mandate);
      for (let i = 0; i < 3; i++) await told(look(acting));
      await told(look(acting.with({ scope: ['trips:read'] })));
      const third = await refusal(acting.with({ scope: scopes }));
      assert.equal(third.code, 'invalid_grant', third.message);
      const [held] = (await agent.mandates()).filter(({ id }) => id === mandate);
      assert.deepEqual(held?.ledger, [{ counter: 'uses', spent: 2, most: 2 }]);
    });

    test('an API that is an agent calls the next one for whoever called it', async () => {
      const [a] = all();
      let broker: Registered | undefined;
      const desk = await api('desk', async (_, token) => {
        const acting = (broker as Registered).agent.onBehalfOf(token, { resource: trips.base, scope: ['trips:read'] });
        return told(look(acting));
      });
      broker = await registered('broker');
      await server.admin('PATCH', `/resources/${desk.id}`, { served_by: [broker.id] });
      const permissions = [{ resource: desk.id, scopes }];
      const atDesk = await post('/roles', { name: 'at-the-desk', permissions });
      await server.admin('PUT', `/agents/${a.id}/roles/${atDesk.id}`);
      const both = [trips.id, desk.id].map((resource, index) => ({ resource, default: index === 0, scope: [] }));
      await server.admin('PATCH', `/agents/${a.id}`, { resources: both });
      const mandate = await give({
        resources: [trips, desk].map(({ base }) => ({ resource: base, scope: 'trips:read' })),
      });
      const acting = a.agent.onBehalfOf(mandate);
      const { chain, from } = await told(acting.fetch(`${desk.base}/trips`));
      assert.deepEqual(chain, [spiffeId('assistant')]);
      assert.deepEqual(from, { person, agent: broker.id, mandate, chain: ['broker', 'assistant'].map(spiffeId) });
      await revoke(mandate);
      await assert.rejects(acting.fetch(`${desk.base}/trips`), { code: 'invalid_request' });
    });

    test('a part of a process has a key and a part of the mandate of its own', async () => {
      const [{ id, key }] = all();
      await using instance = await enrol({ issuer: server.issuer, clientId: id, key });
      const mandate = await give();
      const sub = await instance.subAgent('scout', { mandate, resource: trips.base, scope: ['trips:read'] });
      assert.deepEqual(await told(look(sub)), {
        person,
        agent: id,
        mandate: sub.mandate.id,
        chain: [sub.spiffeId, instance.spiffeId],
      });
      assert.equal((await sub.fetch(`${trips.base}/trips`, { method: 'POST' })).status, 403);
      // nobody but that part: not even the instance that passed it on
      assert.equal((await refusal(instance.onBehalfOf(sub.mandate))).code, 'invalid_request');
      await sub.end();
      assert.equal((await refusal(sub)).code, 'instance_ended');
      const asItIs = { mandate: await give({ passing: { depth: 0 } }), resource: trips.base, scope: ['trips:read'] };
      await assert.rejects(instance.subAgent('other', asItIs), { code: 'mandate_refused' });
      const { items } = await server.admin<{ items: { id: string; status: string }[] }>(
        'GET',
        `/instances?agent=${id}`,
      );
      const alive = items.filter(({ status }) => status === 'active').map((each) => each.id);
      assert.deepEqual(alive, [instance.id], 'without its part it is not left behind');
    });
  });
}
