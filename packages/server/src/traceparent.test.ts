/** W3C Trace Context is carried throughout: whatever road a request comes by, the event of it says what it was part of. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient } from './testing/admin-client.ts';
import { databases, startServer, type TestServer } from './testing/harness.ts';
import { type InstanceClient, instanceClient, type TestInstance } from './testing/instance-client.ts';
import { type OrchestratorClient, orchestratorClient } from './testing/orchestrator.ts';
import { evaluator, guardClient, type PdpClient } from './testing/pdp-client.ts';
import { type TokenClient, tokenClient } from './testing/token-client.ts';

interface Given {
  server: TestServer;
  operator: AdminClient;
  client: TokenClient;
  instances: InstanceClient;
  instance: TestInstance;
  orchestrator: OrchestratorClient;
  asking: PdpClient;
  guard: PdpClient;
}
type Headers = { traceparent: string };

const question = ({ client }: Given, properties: object = {}) => ({
  subject: { type: 'agent', id: client.clientId },
  action: { name: 'token:issue' },
  resource: { type: 'api', id: client.identifier },
  ...properties,
});

const roads: [event: string, road: string, send: (given: Given, headers: Headers) => Promise<unknown>][] = [
  ['token.issued', 'the token endpoint', ({ client }, headers) => client.send({}, headers)],
  ['token.refused', 'the token endpoint', ({ client }, headers) => client.send({ scope: 'tickets:burn' }, headers)],
  [
    'token.revoked',
    'RFC 7009',
    async ({ server, client }, headers) => {
      const token = String((await client.send()).body.access_token);
      const body = new URLSearchParams({ ...(await client.form()), token });
      return fetch(`${server.issuer}/oauth2/revoke`, { method: 'POST', headers: { ...headers }, body });
    },
  ],
  [
    'token.dead_presented',
    'introspection',
    async ({ server, client, operator, guard }, headers) => {
      const token = String((await client.send()).body.access_token);
      await operator.ok('POST', '/revocations', {
        subject: client.clientId,
        effect: 'tokens',
        reason: 'a test',
        wait_seconds: 0,
      });
      return adminClient(server, { client_id: guard.agent, jwk: guard.jwk }).introspect(token, { ...headers });
    },
  ],
  ['instance.enrolled', 'enrolment', ({ instances }, headers) => instances.enrolByKey({ headers: { ...headers } })],
  [
    'instance.renewed',
    'renewal',
    ({ instances, instance }, headers) => instances.call(instance, 'POST', '/renew', {}, { headers: { ...headers } }),
  ],
  [
    'instance.ended',
    'an instance that says it is over',
    async ({ instances }, headers) =>
      instances.call(await instances.instance(), 'DELETE', '', undefined, { headers: { ...headers } }),
  ],
  [
    'task.opened',
    'the API for agents',
    ({ orchestrator, client }, headers) =>
      orchestrator.call(
        'POST',
        '/tasks',
        { agent: client.clientId, workflow: 'x', lifetime_seconds: 60 },
        { ...headers },
      ),
  ],
  [
    'task.ended',
    'the API for agents',
    async ({ orchestrator, client }, headers) => {
      const { id } = await orchestrator.open(client.clientId);
      return orchestrator.call('DELETE', `/tasks/${id}`, undefined, { ...headers });
    },
  ],
  [
    'task.refused',
    'the API for agents',
    ({ orchestrator }, headers) =>
      orchestrator.call(
        'POST',
        '/tasks',
        { agent: `agt_${'0'.repeat(26)}`, workflow: 'x', lifetime_seconds: 60 },
        { ...headers },
      ),
  ],
  [
    'access.evaluated',
    'the decision point',
    (given, headers) => given.asking.ask('evaluation', question(given), { ...headers }),
  ],
  [
    'team.created',
    'the admin API',
    ({ operator }, headers) =>
      operator.call('POST', '/teams', { name: `t-${randomBytes(4).toString('hex')}` }, { ...headers }),
  ],
  [
    'admin.refused',
    'the admin API',
    ({ operator }, headers) => operator.call('POST', `/agents/agt_${'0'.repeat(26)}/suspend`, {}, { ...headers }),
  ],
  [
    'agent.suspended',
    'revocations',
    async ({ server, operator }, headers) => {
      const { clientId } = await tokenClient(server);
      return operator.call(
        'POST',
        '/revocations',
        { subject: clientId, reason: 'a test', wait_seconds: 0 },
        { ...headers },
      );
    },
  ],
];

for (const database of databases) {
  describe(`what a request is part of (${database})`, () => {
    let given: Given;
    before(async () => {
      const server = await startServer({ database });
      const client = await tokenClient(server);
      const instances = instanceClient(server, client);
      given = {
        server,
        operator: adminClient(server, server.operator),
        client,
        instances,
        instance: await instances.instance(),
        orchestrator: await orchestratorClient(server),
        asking: await evaluator(server),
        guard: await guardClient(server, client.resource),
      };
    });
    after(() => given.server.close());

    for (const [event, road, send] of roads) {
      test(`${event}, by ${road}`, async () => {
        const trace = randomBytes(16).toString('hex');
        const traceparent = `00-${trace}-${randomBytes(8).toString('hex')}-01`;
        await send(given, { traceparent });
        const { items } = await given.operator.ok('GET', `/events?type=${event}&trace=${trace}`);
        assert.deepEqual(
          items.map((item: { trace: string }) => item.trace),
          [traceparent],
        );
      });
    }
  });
}
