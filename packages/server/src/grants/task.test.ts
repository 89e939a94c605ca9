/** Tasks at the token endpoint: by id, signed, or declared; what is refused, and what a token may be for. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { generateJwk, parseCompact, publicJwk } from '@bailiwick/protocol';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { type OrchestratorClient, orchestratorClient, roleOf } from '../testing/orchestrator.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

interface Scene {
  server: TestServer;
  orchestrator: OrchestratorClient;
  agent: TokenClient;
}

type Signing = Parameters<OrchestratorClient['sign']>[0];
const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const seconds = (server: TestServer) => Math.floor(server.clock.now() / 1000);
const at = (server: TestServer, ms: number) => new Date(server.clock.now() + ms).toISOString();
const hour = 3_600_000;

/** What spoils a signed task that would be fine, and how that is refused. */
const spoiled: [what: string, change: (scene: Scene) => Signing | Promise<Signing>, error: string][] = [
  ['another typ', () => ({ header: { typ: 'JWT' } }), 'invalid_request'],
  ['a client assertion’s typ', () => ({ header: { typ: 'client-authentication+jwt' } }), 'invalid_request'],
  ['no typ', () => ({ header: { typ: undefined } }), 'invalid_request'],
  ['a critical extension', () => ({ header: { crit: ['x'] } }), 'invalid_request'],
  ['a kid that nobody has', () => ({ header: { kid: 'other' } }), 'invalid_grant'],
  ['another agent as its subject', (s) => ({ sub: s.orchestrator.clientId }), 'invalid_grant'],
  ['no subject', () => ({ claims: { sub: undefined } }), 'invalid_grant'],
  ['an issuer that never was', () => ({ claims: { iss: 'agt_01hzzzzzzzzzzzzzzzzzzzzzzz' } }), 'invalid_grant'],
  ['an issuer that is no id', () => ({ claims: { iss: 'https://evil.example' } }), 'invalid_request'],
  ['the agent itself as its issuer', (s) => ({ claims: { iss: s.agent.clientId } }), 'invalid_grant'],
  ['another audience', () => ({ claims: { aud: 'https://other.example' } }), 'invalid_request'],
  ['two audiences', (s) => ({ claims: { aud: [s.server.issuer, 'https://other.example'] } }), 'invalid_request'],
  [
    'the token endpoint as its audience',
    (s) => ({ claims: { aud: `${s.server.issuer}/oauth2/token` } }),
    'invalid_request',
  ],
  ['no exp', () => ({ claims: { exp: undefined } }), 'invalid_request'],
  ['an exp that is text', () => ({ claims: { exp: '1' } }), 'invalid_request'],
  ['an exp that is past', (s) => ({ claims: { exp: seconds(s.server) - 120 } }), 'invalid_grant'],
  ['an exp far ahead', (s) => ({ claims: { exp: seconds(s.server) + 86_400 } }), 'invalid_request'],
  ['an nbf ahead', (s) => ({ claims: { nbf: seconds(s.server) + 200 } }), 'invalid_request'],
  ['an iat ahead', (s) => ({ claims: { iat: seconds(s.server) + 200 } }), 'invalid_request'],
  ['no iat', () => ({ claims: { iat: undefined } }), 'invalid_request'],
  ['an iat that is text', () => ({ claims: { iat: '1' } }), 'invalid_request'],
  ['an iat of a quarter of an hour ago', (s) => ({ claims: { iat: seconds(s.server) - 1000 } }), 'invalid_grant'],
  ['no jti', () => ({ claims: { jti: undefined } }), 'invalid_request'],
  ['an endless jti', () => ({ claims: { jti: 'a'.repeat(257) } }), 'invalid_request'],
  ['a key that was never registered', async () => ({ jwk: await generateJwk('ES256') }), 'invalid_grant'],
  [
    'a key that travels along, or lies elsewhere',
    async () => {
      const jwk = await generateJwk('ES256');
      return { jwk, header: { jwk: publicJwk(jwk), jku: 'http://127.0.0.1:1/keys', x5u: 'http://127.0.0.1:1/x' } };
    },
    'invalid_grant',
  ],
  ['no task', () => ({ claims: { task: undefined } }), 'invalid_request'],
  ['a task that is a list', () => ({ claims: { task: [] } }), 'invalid_request'],
  ['a member of the task that nobody knows', () => ({ task: { scope: 'x' } }), 'invalid_request'],
  ['no workflow', () => ({ task: { workflow: undefined } }), 'invalid_request'],
  ['no end', () => ({ task: { ends_at: undefined } }), 'invalid_request'],
  ['an end that is past', (s) => ({ task: { ends_at: at(s.server, -1000) } }), 'invalid_request'],
  ['an end after 25 hours', (s) => ({ task: { ends_at: at(s.server, 25 * hour) } }), 'invalid_request'],
  [
    'a resource that the agent was not given',
    () => ({ task: { resources: [{ resource: 'https://a.example', scope: 'a' }] } }),
    'invalid_request',
  ],
  ['a purpose of 2001 letters', () => ({ task: { purpose: 'a'.repeat(2001) } }), 'invalid_request'],
];

for (const database of databases) {
  describe(`tasks at the token endpoint, on ${database}`, () => {
    let server: TestServer;
    let scene: Scene;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      const [orchestrator, agent] = await Promise.all([orchestratorClient(server), tokenClient(server)]);
      scene = { server, orchestrator, agent };
    });
    after(() => server.close());

    const claimsOf = ({ body }: { body: Record<string, unknown> }) =>
      parseCompact(String(body.access_token)).payload as Record<string, unknown> & { task: { id: string } };
    const fresh = async () => {
      const [orchestrator, agent] = await Promise.all([orchestratorClient(server), tokenClient(server)]);
      return { orchestrator, agent };
    };
    const refusedWith = async (agent: TokenClient, form: Record<string, string>, error: string) => {
      const { status, body } = await agent.send(form);
      assert.deepEqual([status, body.error], [400, error], JSON.stringify(body));
      return body;
    };
    const tasksOf = async (agent: TokenClient) =>
      (await server.admin<{ items: Record<string, unknown>[] }>('GET', `/tasks?agent=${agent.clientId}&limit=200`))
        .items;

    for (const [what, change, error] of spoiled) {
      test(`a signed task with ${what}`, async () => {
        const { orchestrator, agent } = scene;
        await refusedWith(agent, { task: orchestrator.sign({ sub: agent.clientId, ...(await change(scene)) }) }, error);
        assert.equal((await tasksOf(agent)).length, 0);
      });
    }

    test('a signed task of alg none, or signed with a public key as an HMAC secret', async () => {
      const { orchestrator, agent } = scene;
      const [, payload] = orchestrator.sign({ sub: agent.clientId }).split('.');
      const none = `${b64({ alg: 'none', typ: 'task+jwt' })}.${payload}.`;
      await refusedWith(agent, { task: none }, 'invalid_request');
      const input = `${b64({ alg: 'HS256', typ: 'task+jwt' })}.${payload}`;
      const mac = createHmac('sha256', JSON.stringify(publicJwk(orchestrator.jwk)))
        .update(input)
        .digest('base64url');
      await refusedWith(agent, { task: `${input}.${mac}` }, 'invalid_request');
    });

    test('something that is neither an id nor signed, and a task beside a declared one', async () => {
      const { orchestrator, agent } = scene;
      for (const task of ['x', 'tsk_', 'agt_01hzzzzzzzzzzzzzzzzzzzzzzz', 'a.b.c', 'a'.repeat(20_000)]) {
        await refusedWith(agent, { task }, 'invalid_request');
      }
      const task = orchestrator.sign({ sub: agent.clientId });
      await refusedWith(agent, { task, declared_workflow: 'billing' }, 'invalid_request');
      await refusedWith(agent, { declared_purpose: 'a'.repeat(2001) }, 'invalid_request');
      await refusedWith(agent, { declared_workflow: 'a\u0000b' }, 'invalid_request');
    });

    test('what an agent declares of itself goes into no token and bounds none', async () => {
      const { agent } = await fresh();
      const operation = { name: 'read', method: 'GET', path: '/{id}', scope: ['tickets:read'], sensitivity: 'low' };
      await server.admin('PATCH', `/resources/${agent.resource}`, { operations: [operation] });
      const answer = await agent.send({ declared_workflow: 'billing', declared_purpose: 'pay' });
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(claimsOf(answer).task, undefined);
      assert.equal((await tasksOf(agent)).length, 0);
    });

    test('a task of another agent, by id: the same as one that never was', async () => {
      const { orchestrator, agent } = await fresh();
      const task = await orchestrator.open(scene.agent.clientId);
      const other = await refusedWith(agent, { task: task.id }, 'invalid_grant');
      const none = await refusedWith(agent, { task: 'tsk_01hzzzzzzzzzzzzzzzzzzzzzzz' }, 'invalid_grant');
      assert.deepEqual(other, none);
    });

    test('a signed task is one task, however often it is presented, and nothing else under its jti', async () => {
      const { orchestrator, agent } = await fresh();
      const jti = 'order-17';
      const ends_at = at(server, hour);
      const task = orchestrator.sign({ sub: agent.clientId, claims: { jti }, task: { ends_at, step: 'sort' } });
      const answers = [await agent.send({ task }), await agent.send({ task })];
      const again = orchestrator.sign({ sub: agent.clientId, claims: { jti }, task: { ends_at, step: 'sort' } });
      answers.push(await agent.send({ task: again }));
      const ids = answers.map((answer) => claimsOf(answer).task.id);
      assert.equal(new Set(ids).size, 1);
      assert.match(ids[0] as string, /^tsk_[0-9a-hjkmnp-tv-z]{26}$/);
      for (const changed of [
        { step: 'pay' },
        { purpose: 'x' },
        { ends_at: at(server, 2 * hour) },
        { environment: 'x' },
      ]) {
        const signed = { ends_at, step: 'sort', ...changed };
        const other = orchestrator.sign({ sub: agent.clientId, claims: { jti }, task: signed });
        await refusedWith(agent, { task: other }, 'invalid_grant');
      }
      const events = await server.admin<{ items: unknown[] }>('GET', `/events?type=task.opened&target=${ids[0]}`);
      assert.equal(events.items.length, 1);
      const sibling = await tokenClient(server);
      const taken = orchestrator.sign({ sub: sibling.clientId, claims: { jti }, task: { ends_at, step: 'sort' } });
      await refusedWith(sibling, { task: taken }, 'invalid_grant');
      assert.equal((await orchestrator.call('DELETE', `/tasks/${ids[0]}`)).status, 204);
      const dead = await refusedWith(agent, { task }, 'invalid_grant');
      assert.match(String(dead.error_description), /ended/, 'what was ended does not come back');
    });

    test('fifty at once present one signed task: one task, and a token each', async () => {
      const { orchestrator, agent } = await fresh();
      const task = orchestrator.sign({ sub: agent.clientId });
      const answers = await Promise.all(Array.from({ length: 50 }, () => agent.send({ task })));
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
      assert.equal((await tasksOf(agent)).length, 1);
      const id = claimsOf(answers[0] as never).task.id;
      const events = await server.admin<{ items: unknown[] }>('GET', `/events?type=task.opened&target=${id}`);
      assert.equal(events.items.length, 1);
    });

    test('two signed tasks of one jti at once: one of them is', async () => {
      const { orchestrator, agent } = await fresh();
      const ends_at = at(server, hour);
      const signed = ['sort', 'pay'].map((step) =>
        orchestrator.sign({ sub: agent.clientId, claims: { jti: 'j' }, task: { ends_at, step } }),
      );
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, n) => agent.send({ task: signed[n % 2] as string })),
      );
      assert.equal(answers.filter(({ status }) => status === 200).length, 10);
      assert.equal((await tasksOf(agent)).length, 1);
    });

    test('a replayed assertion opens no task', async () => {
      const { orchestrator, agent } = await fresh();
      const form = await agent.form();
      assert.equal((await agent.send(form)).status, 200);
      const { status } = await agent.send({ ...form, task: orchestrator.sign({ sub: agent.clientId }) });
      assert.equal(status, 401);
      assert.equal((await tasksOf(agent)).length, 0);
    });

    test('a token is for nothing but its task', async () => {
      const { orchestrator, agent } = await fresh();
      const resources = [{ resource: agent.identifier, scope: 'tickets:read' }];
      const { id } = await orchestrator.open(agent.clientId, { resources });
      assert.equal((await agent.send({ task: id, scope: 'tickets:read' })).status, 200);
      await refusedWith(agent, { task: id, scope: 'tickets:read tickets:write' }, 'invalid_scope');
      assert.equal(
        (await agent.send({ scope: 'tickets:read tickets:write' })).status,
        200,
        'without a task it is its role’s',
      );
      const second = await server.admin<{ id: string }>('POST', '/resources', {
        identifier: `${agent.identifier}/other`,
        name: 'other',
        scopes: [{ name: 'tickets:read' }],
      });
      await server.admin('PATCH', `/agents/${agent.clientId}`, {
        resources: [
          { resource: agent.resource, default: true, scope: ['tickets:read'] },
          { resource: second.id, default: false, scope: [] },
        ],
      });
      await server.admin('PATCH', `/roles/${agent.role}`, {
        permissions: [agent.resource, second.id].map((resource) => ({ resource, scopes: ['tickets:read'] })),
      });
      await refusedWith(
        agent,
        { task: id, resource: `${agent.identifier}/other`, scope: 'tickets:read' },
        'invalid_target',
      );
    });

    test('where a request names nothing, it asks for what its task names', async () => {
      const { orchestrator, agent } = await fresh();
      const resources = [{ resource: agent.identifier, scope: 'tickets:read tickets:write', operations: ['read'] }];
      const { id } = await orchestrator.open(agent.clientId, { resources });
      const { body } = await agent.send({ task: id });
      assert.equal(body.scope, 'tickets:read tickets:write');
      assert.deepEqual(body.authorization_details, [{ type: 'operation', actions: ['read'] }]);
      assert.equal((await agent.send({ task: id, scope: 'tickets:read' })).body.scope, 'tickets:read');
      const details = JSON.stringify([{ type: 'operation', actions: ['read'], parameters: { id: ['17'] } }]);
      const narrower = await agent.send({ task: id, authorization_details: details });
      assert.deepEqual(narrower.body.authorization_details, JSON.parse(details), JSON.stringify(narrower.body));
    });

    type Ending = (of: Awaited<ReturnType<typeof fresh>> & { id: string }) => Promise<unknown>;
    const endings: [what: string, end: Ending, resume?: Ending][] = [
      [
        'its agent is suspended',
        ({ agent }) => server.admin('POST', `/agents/${agent.clientId}/suspend`, {}),
        ({ agent }) => server.admin('POST', `/agents/${agent.clientId}/resume`),
      ],
      [
        'its orchestrator is suspended',
        ({ orchestrator }) => server.admin('POST', `/agents/${orchestrator.clientId}/suspend`, {}),
        ({ orchestrator }) => server.admin('POST', `/agents/${orchestrator.clientId}/resume`),
      ],
      [
        'its orchestrator is retired',
        ({ orchestrator }) => server.admin('POST', `/agents/${orchestrator.clientId}/retire`),
      ],
      [
        'what its orchestrator opened it with is removed',
        ({ orchestrator }) => server.admin('DELETE', `/credentials/${orchestrator.credential}`),
      ],
      [
        'its orchestrator may open tasks no more',
        async ({ orchestrator }) =>
          server.admin('DELETE', `/agents/${orchestrator.clientId}/roles/${await roleOf(server, 'orchestrator')}`),
      ],
      [
        'its orchestrator is no longer registered for the API at which tasks are opened',
        ({ orchestrator }) => server.admin('PATCH', `/agents/${orchestrator.clientId}`, { resources: [] }),
      ],
      ['an administrator ends it', ({ id }) => server.admin('DELETE', `/tasks/${id}`)],
    ];
    for (const [what, end, resume] of endings) {
      for (const how of ['opened', 'signed'] as const) {
        test(`a task that was ${how} has ended when ${what}, and its tokens are dead`, async () => {
          const { orchestrator, agent } = await fresh();
          const signed = orchestrator.sign({ sub: agent.clientId });
          const task = how === 'signed' ? signed : (await orchestrator.open(agent.clientId)).id;
          const answer = await agent.send({ task });
          assert.equal(answer.status, 200, JSON.stringify(answer.body));
          const { id } = claimsOf(answer).task;
          const own = await agent.send();
          await end({ orchestrator, agent, id });
          await resume?.({ orchestrator, agent, id });
          assert.equal(await isActive(agent, answer.body.access_token), false);
          if (!what.startsWith('its agent')) assert.equal(await isActive(agent, own.body.access_token), true);
          await refusedWith(agent, { task }, 'invalid_grant');
          await refusedWith(agent, { task: id }, 'invalid_grant');
        });
      }
    }

    async function isActive(agent: TokenClient, token: unknown): Promise<boolean> {
      const { client_assertion, client_assertion_type } = (await agent.form()) as Record<string, string>;
      const body = new URLSearchParams({ client_assertion, client_assertion_type, token: String(token) } as never);
      const response = await fetch(`${server.issuer}/oauth2/introspect`, { method: 'POST', body });
      return ((await response.json()) as { active: boolean }).active;
    }

    test('a key that was replaced has done its part: what it opened goes on', async () => {
      const { orchestrator, agent } = await fresh();
      const { id } = await orchestrator.open(agent.clientId, { lifetime_seconds: 7200 });
      const jwk = publicJwk(await generateJwk('ES256'));
      await server.admin('POST', `/credentials/${orchestrator.credential}/rotate`, { jwk, overlap_seconds: 1800 });
      server.clock.advance(hour);
      assert.equal((await agent.send({ task: id })).status, 200);
    });

    test('while it is being ended, fifty ask for tokens: none of them outlives the answer', async () => {
      const { orchestrator, agent } = await fresh();
      const { id } = await orchestrator.open(agent.clientId);
      const asking = Array.from({ length: 50 }, () => agent.send({ task: id }));
      const ended = await orchestrator.call('DELETE', `/tasks/${id}`);
      assert.equal(ended.status, 204);
      const answers = await Promise.all(asking);
      for (const { status, body } of answers) {
        if (status === 200) assert.equal(await isActive(agent, body.access_token), false);
        else assert.equal(body.error, 'invalid_grant', JSON.stringify(body));
      }
    });

    test('what an orchestrator opens at a task ends with that task, and no later', async () => {
      const { orchestrator, agent } = await fresh();
      const middle = await orchestratorClient(server);
      const above = await orchestrator.open(middle.clientId, { lifetime_seconds: 600 });
      const { openAt } = atTask(middle);
      const below = await openAt(above.id, agent.clientId);
      assert.equal(below.ends_at, above.ends_at);
      const answer = await agent.send({ task: below.id as string });
      assert.equal(answer.status, 200);
      await orchestrator.call('DELETE', `/tasks/${above.id}`);
      assert.equal(await isActive(agent, answer.body.access_token), false);
      await refusedWith(agent, { task: below.id as string }, 'invalid_grant');
      await assert.rejects(openAt(above.id, agent.clientId), 'nothing is opened at a task that has ended');
    });

    /** The same orchestrator with tokens of a task. */
    function atTask(orchestrator: OrchestratorClient) {
      return {
        async openAt(task: string, agent: string): Promise<Record<string, unknown>> {
          const token = await orchestrator.client.tokenWith({ resource: server.issuer, task });
          const htu = `${server.issuer}/tasks`;
          const response = await fetch(htu, {
            method: 'POST',
            headers: {
              authorization: `DPoP ${token}`,
              dpop: await orchestrator.client.proof({ htm: 'POST', htu, accessToken: token }),
              'content-type': 'application/json',
            },
            body: JSON.stringify({ agent, workflow: 'sub', lifetime_seconds: 3600 }),
          });
          assert.equal(response.status, 201, await response.clone().text());
          return (await response.json()) as Record<string, unknown>;
        },
      };
    }

    test('an instance is enrolled and given a token of a task in one round trip', async () => {
      const { orchestrator, agent } = await fresh();
      const instances = instanceClient(server, agent);
      for (const task of [(await orchestrator.open(agent.clientId)).id, orchestrator.sign({ sub: agent.clientId })]) {
        const { secret } = await instances.token();
        const reply = await instances.enrol({ token: secret, body: { token: { scope: 'tickets:read', task } } });
        assert.equal(reply.status, 201, JSON.stringify(reply.body));
        const { payload } = parseCompact(reply.body.token.access_token);
        assert.equal((payload.task as { workflow: string }).workflow, 'billing');
      }
      const { secret } = await instances.token();
      const refused = await instances.enrol({
        token: secret,
        body: { token: { task: 'tsk_01hzzzzzzzzzzzzzzzzzzzzzzz' } },
      });
      assert.equal(refused.body.error, 'invalid_grant');
    });
  });
}
