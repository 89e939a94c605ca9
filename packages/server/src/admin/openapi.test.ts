import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { z } from 'zod';
import { consumerName } from '../exports/exporter.ts';
import { insertDeadLetter } from '../log/consumers-store.ts';
import type { MandateRequest } from '../mandates/request.ts';
import { insertRequest } from '../mandates/request-store.ts';
import { type AdminClient, adminClient, populate, type Reply } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { signalReceiver } from '../testing/signal-receiver.ts';
import type { Route } from './route.ts';
import { adminScopes } from './scopes.ts';
import { exampleId } from './shapes.ts';
import { adminTable } from './table.ts';

type Things = Awaited<ReturnType<typeof populate>> & { task: string; stream: string; source: string; exporter: string };
// biome-ignore lint/suspicious/noExplicitAny: a JSON document, looked at from outside
type Json = any;

const table = adminTable as readonly Route[];

/** One request to every operation, by its id, in an order that works. */
const requests: Record<string, (t: Things) => Promise<[path: string, body?: unknown]>> = {
  runDrill: async () => ['/drills', { wait_seconds: 1 }],
  listDrills: async () => ['/drills'],
  listOrganizations: async () => ['/organizations'],
  createOrganization: async () => ['/organizations', { name: 'acme', display_name: 'Acme' }],
  getOrganization: async (t) => [`/organizations/${t.person.organization}`],
  updateOrganization: async (t) => [`/organizations/${t.person.organization}`, { display_name: 'Home' }],
  suspendOrganization: async (t) => [`/organizations/${t.person.organization}/suspend`, { reason: 'moving' }],
  resumeOrganization: async (t) => [`/organizations/${t.person.organization}/resume`],
  listPeople: async () => ['/people?organization=home'],
  createPerson: async () => [
    '/people',
    {
      name: 'Grace',
      email: 'grace@example.com',
      identities: [{ issuer: 'https://login.example.com', subject: '248289761001' }],
    },
  ],
  getPerson: async (t) => [`/people/${t.person.id}`],
  updatePerson: async (t) => [`/people/${t.person.id}`, { email: null }],
  listTeams: async () => ['/teams?organization=home'],
  createTeam: async () => ['/teams', { name: 'night' }],
  getTeam: async (t) => [`/teams/${t.team.id}`],
  updateTeam: async (t) => [`/teams/${t.team.id}`, { display_name: 'Helpers' }],
  listTeamMembers: async (t) => [`/teams/${t.team.id}/members`],
  addTeamMember: async (t) => [`/teams/${t.team.id}/members/${t.person.id}`],
  removeTeamMember: async (t) => [`/teams/${t.team.id}/members/${t.person.id}`],
  listAgents: async () => ['/agents?organization=home&limit=1'],
  createAgent: async (t) => [
    '/agents?organization=home',
    {
      name: 'whole',
      kind: 'device',
      owner: t.team.id,
      expires_at: '2030-01-31T12:00:00+01:00',
      limits: { token_lifetime_seconds: 60 },
    },
  ],
  getAgent: async (t) => [`/agents/${t.agent.id}`],
  updateAgent: async (t) => [`/agents/${t.agent.id}`, { purpose: 'answers more', limits: { tokens_per_minute: 5 } }],
  suspendAgent: async (t) => [`/agents/${t.agent.id}/suspend`, { reason: 'odd calls' }],
  resumeAgent: async (t) => [`/agents/${t.agent.id}/resume`],
  listAgentRoles: async (t) => [`/agents/${t.agent.id}/roles`],
  giveRole: async (t) => [`/agents/${t.agent.id}/roles/${t.role.id}`],
  takeRole: async (t) => [`/agents/${t.agent.id}/roles/${t.role.id}`],
  listCredentials: async (t) => [`/credentials?organization=home&agent=${t.agent.id}`],
  addCredential: async (t) => [
    '/credentials',
    { agent: t.agent.id, jwk: publicJwk(await generateJwk('PS256')), expires_at: '2030-01-01T00:00:00Z' },
  ],
  getCredential: async (t) => [`/credentials/${t.credential.id}`],
  updateCredential: async (t) => [`/credentials/${t.credential.id}`, { label: 'old laptop' }],
  rotateCredential: async (t) => [
    `/credentials/${t.credential.id}/rotate`,
    { jwk: publicJwk(await generateJwk('ES256')), overlap_seconds: 60 },
  ],
  removeCredential: async (t) => [`/credentials/${t.credential.id}`],
  listTasks: async (t) => [`/tasks?organization=home&agent=${t.agent.id}&status=ended`],
  getTask: async (t) => [`/tasks/${t.task}`],
  endTask: async (t) => [`/tasks/${t.task}`],
  listMandates: async (t) => [`/mandates?organization=home&person=${t.person.id}&status=active`],
  giveMandate: async (t) => [
    '/mandates?organization=home',
    {
      person: t.person.id,
      agent: t.agent.id,
      resources: [{ resource: t.resource.identifier, operations: ['close'], scope: 'tickets:read' }],
      context: { country: ['DE'] },
      limits: { amounts: [{ type: 'operation', amount: '/amount', total: 9.5 }] },
      passing: { depth: 1, to: [t.agent.id] },
      given: { way: 'device', text: 'May it?', language: 'en' },
      expires_at: '2026-12-01T00:00:00Z',
    },
  ],
  listMandateRequests: async (t) => [`/mandates/requests?organization=home&from=${t.agent.id}&status=pending`],
  getMandate: async (t) => [`/mandates/${t.mandate.id}`],
  showMandateTree: async (t) => [`/mandates/${t.mandate.id}/tree?below=true`],
  narrowMandate: async (t) => [`/mandates/${t.mandate.id}`, { limits: { uses: 5 }, context: { zone: ['eu-1'] } }],
  pauseMandate: async (t) => [`/mandates/${t.mandate.id}/pause`, { reason: 'on leave' }],
  resumeMandate: async (t) => [`/mandates/${t.mandate.id}/resume`],
  endMandate: async (t) => [`/mandates/${t.mandate.id}/end`],
  listInstances: async (t) => [`/instances?organization=home&agent=${t.agent.id}&status=ended`],
  getInstance: async (t) => [`/instances/${t.instance}`],
  endInstance: async (t) => [`/instances/${t.instance}`],
  endInstances: async (t) => ['/instances/end', { agent: t.agent.id, reason: 'a bad release' }],
  listResources: async () => ['/resources?organization=home'],
  createResource: async () => [
    '/resources?organization=home',
    {
      identifier: 'https://new.example',
      name: 'New',
      token: { alg: 'RS256', typ: 'JWT', audience: 'cloud', lifetime_seconds: 60 },
    },
  ],
  getResource: async (t) => [`/resources/${t.resource.id}`],
  updateResource: async (t) => [`/resources/${t.resource.id}`, { token: { alg: 'EdDSA' } }],
  listRoles: async () => ['/roles?organization=home'],
  createRole: async (t) => [
    '/roles?organization=home',
    { name: 'writer', permissions: [{ resource: t.resource.id, scopes: ['tickets:write'] }] },
  ],
  getRole: async (t) => [`/roles/${t.role.id}`],
  updateRole: async (t) => [`/roles/${t.role.id}`, { permissions: [] }],
  listGuards: async (t) => [`/guards?organization=home&resource=${t.resource.id}`],
  createGuard: async (t) => [
    '/guards?organization=home',
    {
      name: 'second-guard',
      resource: t.resource.identifier,
      owner: t.team.id,
      jwk: publicJwk(await generateJwk('ES256')),
    },
  ],
  getOwnGuard: async () => ['/guards/self'],
  getGuard: async (t) => [`/guards/${t.guard.id}`],
  endGuard: async (t) => [`/guards/${t.guard.id}`],
  listTrustDomains: async () => ['/trust-domains?organization=home&name=partner.example'],
  createTrustDomain: async () => [
    '/trust-domains?organization=home',
    { name: 'other.example', bundle: { keys: [], spiffe_refresh_hint: 600 } },
  ],
  getTrustDomain: async (t) => [`/trust-domains/${t.trustDomain.id}`],
  updateTrustDomain: async (t) => [
    `/trust-domains/${t.trustDomain.id}`,
    { bundle_endpoint: { profile: 'https_spiffe', spiffe_id: 'spiffe://partner.example/bundles' } },
  ],
  refreshTrustDomain: async (t) => [`/trust-domains/${t.trustDomain.id}/refresh`],
  removeTrustDomain: async (t) => [`/trust-domains/${t.trustDomain.id}/remove`, { reason: 'over' }],
  listTrustedIssuers: async () => ['/trusted-issuers?organization=home&issuer=https://login.partner.example'],
  trustIssuer: async (t) => [
    '/trusted-issuers?organization=home',
    {
      issuer: 'https://other.example',
      jwks_uri: 'https://localhost:1/jwks',
      accepts: ['id_token', 'access_token'],
      rules: [
        {
          name: 'staff',
          claims: { hd: { exact: 'other.example' }, groups: { glob: 'org/*' }, role: { prefix: 'a' } },
          agents: [t.agent.id],
          resources: [{ resource: t.resource.id, scope: 'tickets:read' }],
          max_lifetime_seconds: 60,
        },
      ],
    },
  ],
  getTrustedIssuer: async (t) => [`/trusted-issuers/${t.issuer.id}`],
  updateTrustedIssuer: async (t) => [`/trusted-issuers/${t.issuer.id}`, { max_age_seconds: 600 }],
  refreshTrustedIssuer: async (t) => [`/trusted-issuers/${t.issuer.id}/refresh`],
  suspendTrustedIssuer: async (t) => [`/trusted-issuers/${t.issuer.id}/suspend`, { reason: 'over' }],
  resumeTrustedIssuer: async (t) => [`/trusted-issuers/${t.issuer.id}/resume`],
  removeTrustedIssuer: async (t) => [`/trusted-issuers/${t.issuer.id}/remove`, { reason: 'over' }],
  listPolicies: async () => ['/policies?organization=home&mode=observe'],
  createPolicy: async () => [
    '/policies?organization=home',
    { name: 'days', text: '@id("days")\nforbid (principal, action, resource);\n', mode: 'observe', reason: 'to look' },
  ],
  getPolicy: async (t) => [`/policies/${t.policy.id}`],
  updatePolicy: async (t) => [`/policies/${t.policy.id}`, { mode: 'enforce', reason: 'it is right' }],
  rollBackPolicy: async (t) => [
    `/policies/${t.policy.id}/rollback`,
    { revision: t.policy.revision, reason: 'it was not' },
  ],
  removePolicy: async (t) => [`/policies/${t.policy.id}/remove`, { reason: 'over' }],
  listPolicyVersions: async (t) => [`/policies/${t.policy.id}/versions?limit=2`],
  getPolicyVersion: async (t) => [`/policies/${t.policy.id}/versions/${t.policy.revision}`],
  getPolicySchema: async () => ['/policies/schema'],
  checkPolicy: async () => ['/policies/check', { text: 'permit (principal' }],
  simulatePolicies: async () => [
    '/policies/simulate?organization=home',
    {
      drafts: [
        { name: 'starter', remove: true },
        { name: 'new', text: '@id("a")\npermit (principal, action, resource);' },
      ],
      since: '2026-11-01T00:00:00Z',
      limit: 5,
    },
  ],
  explainPolicies: async (t) => [
    '/policies/explain?organization=home',
    { resource: t.resource.id, agent: t.agent.id, scope: ['tickets:read'], address: '192.0.2.7' },
  ],
  listEvents: async () => ['/events?organization=home&limit=200'],
  traceStory: async (t) => [`/trace?organization=home&of=${t.agent.id}`],
  traceSpans: async (t) => [`/trace/spans?organization=home&of=${t.agent.id}`],
  listKeys: async () => ['/keys'],
  rotateKeys: async () => ['/keys/rotate', { alg: 'ES256' }],
  readCertificateAuthority: async () => ['/certificate-authority'],
  rotateCertificateAuthority: async () => ['/certificate-authority/rotate', { what: 'root' }],
  revoke: async (t) => [
    '/revocations?organization=home',
    { kind: 'agent', subject: t.agent.name, reason: 'strange calls' },
  ],
  listRevocations: async (t) => [`/revocations?organization=home&agent=${t.agent.id}&kind=agent`],
  getRevocation: async () => ['/revocations/1'],
  listSignalStreams: async () => ['/signal-streams?organization=home'],
  getSignalStream: async (t) => [`/signal-streams/${t.stream}`],
  verifySignalStream: async (t) => [`/signal-streams/${t.stream}/verify`],
  endSignalStream: async (t) => [`/signal-streams/${t.stream}`],
  createSignalSource: async () => ['/signal-sources?organization=home', sourceCalled('directory')],
  listSignalSources: async () => ['/signal-sources?organization=home'],
  getSignalSource: async (t) => [`/signal-sources/${t.source}`],
  updateSignalSource: async (t) => [`/signal-sources/${t.source}`, { events: ['session-revoked'] }],
  removeSignalSource: async (t) => [`/signal-sources/${t.source}`],
  createExporter: async () => [
    '/exporters?organization=home',
    { name: 'siem', target: { kind: 'webhook', url: 'https://localhost:1/log', format: 'ocsf' }, from: 'now' },
  ],
  listExporters: async () => ['/exporters?organization=home'],
  getExporter: async (t) => [`/exporters/${t.exporter}`],
  updateExporter: async (t) => [`/exporters/${t.exporter}`, { outcome: 'refused', personal: false }],
  testExporter: async (t) => [`/exporters/${t.exporter}/test`, {}],
  listDeadLetters: async (t) => [`/exporters/${t.exporter}/dead-letters`],
  retryDeadLetters: async (t) => [`/exporters/${t.exporter}/dead-letters/retry`],
  removeExporter: async (t) => [`/exporters/${t.exporter}/remove`],
  getRetention: async () => ['/log/retention?organization=home'],
  setRetention: async () => ['/log/retention?organization=home', { type: 'access.used', days: 90 }],
  showReach: async (t) => [`/revocations/reach?subject=${t.agent.id}&effect=end`],
  retireAgent: async (t) => [`/agents/${t.agent.id}/retire`],
  retireRole: async (t) => [`/roles/${t.role.id}/retire`, {}],
  retireResource: async (t) => [`/resources/${t.resource.id}/retire`, { reason: 'replaced' }],
  retireTeam: async (t) => [`/teams/${t.team.id}/retire`],
  erasePerson: async (t) => [`/people/${t.person.id}`],
};

/** Somebody who tells by pushing, and whose keys are nowhere. */
const sourceCalled = (name: string) => ({
  name,
  issuer: `https://${name}.example`,
  jwks_uri: 'https://localhost:1/jwks',
  audience: ['https://bailiwick.example'],
});

/** What one agent asks of another, with all that a request can say. */
const requestAmong = ({ agent, mandate, resource }: Awaited<ReturnType<typeof populate>>): MandateRequest => ({
  id: exampleId('mandate_request'),
  org: agent.organization,
  agent: agent.id,
  instance: exampleId('instance'),
  holder: agent.id,
  wanted: {
    parent: mandate.id,
    resources: [{ resource: resource.identifier, scope: 'tickets:read', authorization_details: [{ type: 'x' }] }],
    context: { country: ['DE'] },
    task: { workflow: 'support' },
    limits: { uses: 1, amounts: [{ type: 'x', amount: '/amount', total: 1 }] },
    passing: { depth: 1, to: [agent.id] },
    expires_in: 60,
  },
  why: 'to look it up',
  state: 'pending',
  mandate: undefined,
  reason: undefined,
  restsOn: [],
  rev: 0,
  createdAt: 0,
  answerBy: 4_000_000_000_000,
  answeredAt: undefined,
});

for (const database of databases) {
  describe(`the description of the API is true (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let things: Things;
    let document: Json;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      await operator.ok('POST', '/organizations', { name: 'home' });
      const made = await populate(operator, 'home');
      const orchestrator = await orchestratorClient(server, { organization: 'home' });
      const receiver = await signalReceiver(server, { organization: 'home' });
      const source = await operator.ok('POST', '/signal-sources?organization=home', sourceCalled('elsewhere'));
      const webhook = { kind: 'webhook', url: 'https://localhost:1/events' }; // where nobody answers
      const exporter = await operator.ok('POST', '/exporters?organization=home', { name: 'log', target: webhook });
      const [event] = (await operator.ok('GET', '/events?limit=1')).items;
      const refused = { arrival: 1, event: event.id, reason: 'it answered with 422', at: 0 };
      await server.deps.db.transaction((tx) =>
        insertDeadLetter(tx, { consumer: consumerName(exporter.id), ...refused }),
      );
      await server.deps.db.transaction((tx) => insertRequest(tx, requestAmong(made), 1));
      things = {
        ...made,
        task: (await orchestrator.open(made.agent.id)).id,
        stream: (await receiver.stream()).stream_id,
        source: source.id,
        exporter: exporter.id,
      };
      document = await (await fetch(`${server.issuer}/openapi.json`)).json();
    });
    after(() => server.close());

    test('there is a request here for every route', () => {
      const asked = table.filter((route) => !(route.kind === 'read' && route.stream)); // streams have tests of their own
      assert.deepEqual(Object.keys(requests).sort(), asked.map(({ id }) => id).sort());
    });

    for (const [id, request] of Object.entries(requests)) {
      test(`${id} answers as it says`, async () => {
        const route = table.find((one) => one.id === id) as Route;
        // what ends people's and teams' agents has to be ended first
        if (id === 'retireTeam') await freeOwners(operator);
        const [path, body] = await request(things);
        const client =
          id === 'getOwnGuard'
            ? adminClient(server, { client_id: things.guard.agent, jwk: things.guardKey })
            : operator;
        const reply = await client.call(route.method, path, body);
        checkAnswer(document, route, reply);
      });
    }

    test('problems are as it says', async () => {
      const schema = z.fromJSONSchema(document.components.schemas.Problem);
      for (const reply of [
        await operator.call('POST', '/people', { name: 1 }),
        await operator.call('GET', '/agents/x'),
        await operator.call('POST', '/organizations', { name: 'home' }),
      ]) {
        assert.deepEqual(schema.parse(reply.body), reply.body);
        assert.ok(document.components.responses[reply.status]);
      }
    });

    test('its references lead somewhere, its ids are unique, its paths declare their parameters', () => {
      const ids = new Set<string>();
      for (const reference of references(document)) {
        const found = reference
          .slice(2)
          .split('/')
          .reduce((node: Json, key: string) => node?.[key], document);
        assert.ok(found, reference);
      }
      for (const [path, item] of Object.entries(document.paths as Record<string, Json>)) {
        for (const operation of Object.values(item) as Json[]) {
          assert.ok(!ids.has(operation.operationId));
          ids.add(operation.operationId);
          const declared = operation.parameters.filter((one: Json) => one.in === 'path').map((one: Json) => one.name);
          assert.deepEqual(
            declared,
            [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
          );
          const scopes = operation.security[0].oauth2 as string[];
          assert.ok(scopes.length > 0 && scopes.every((scope) => scope in adminScopes));
        }
      }
      assert.equal(document.openapi, '3.1.0');
      assert.equal(
        document.components.securitySchemes.oauth2.flows.clientCredentials.tokenUrl,
        `${server.issuer}/oauth2/token`,
      );
    });

    test('every body has an example, and every example is accepted', () => {
      for (const route of table) {
        if (!route.body) continue;
        assert.ok(route.example !== undefined, route.id);
        assert.ok(route.body.safeParse(route.example).success, route.id);
        const { content } = document.paths[route.path][route.method.toLowerCase()].requestBody;
        for (const { schema, example } of Object.values(content) as Json[]) {
          assert.deepEqual(z.fromJSONSchema(schema).safeParse(example).error, undefined, route.id);
        }
      }
    });

    test('every write takes an Idempotency-Key, every change an If-Match', () => {
      for (const route of table) {
        const { parameters } = document.paths[route.path][route.method.toLowerCase()];
        const taken = parameters.map((one: Json) => one.$ref?.split('/').at(-1));
        assert.equal(taken.includes('IdempotencyKey'), route.kind === 'write', route.id);
        assert.equal(taken.includes('IfMatch'), route.method === 'PATCH', route.id);
      }
    });
  });
}

/** The answer parses with the route's own schema and with the document's, and neither knows less than was answered. */
function checkAnswer(document: Json, route: Route, reply: Reply): void {
  const described = document.paths[route.path][route.method.toLowerCase()].responses;
  const expected = route.kind === 'read' ? 200 : route.status;
  assert.equal(reply.status, expected, reply.text);
  assert.ok(described[String(expected)], `${expected} is described`);
  if (!route.response) {
    assert.equal(reply.text, '');
    assert.equal(described[String(expected)].content, undefined);
    return;
  }
  assert.deepEqual(route.response.parse(reply.body), reply.body);
  const schema = z.fromJSONSchema(described[String(expected)].content['application/json'].schema);
  assert.deepEqual(schema.parse(reply.body), reply.body);
  if (expected === 201 && reply.body.id) {
    assert.equal(reply.headers.get('location')?.endsWith(`/${route.path.split('/')[1]}/${reply.body.id}`), true);
  }
  const { items } = reply.body as { items?: unknown[] };
  if (items) assert.ok(items.length > 0, 'an empty list proves nothing');
}

async function freeOwners(operator: AdminClient): Promise<void> {
  const { items } = await operator.ok('GET', '/agents?organization=home&limit=200');
  for (const { id } of items) await operator.ok('POST', `/agents/${id}/retire`);
}

function references(node: unknown): string[] {
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([key, value]) => (key === '$ref' ? [value as string] : references(value)));
}
