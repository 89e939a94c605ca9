import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { canonicalJson } from '@bailiwick/protocol';
import type { ReadEvent } from '../audit/audit.ts';
import { type DecidedEvent, recorded, recordedPersonal, requestOf, type Surroundings } from './recorded.ts';
import type { AgentPrincipal, PolicyRequest } from './request.ts';

const at = Date.UTC(2026, 10, 23, 8, 30);

const desk: AgentPrincipal = {
  type: 'Agent',
  id: 'agt_1',
  name: 'desk',
  kind: 'ai_agent',
  environment: 'production',
  owner: 'tea_1',
  roles: ['ticket-reader'],
  instance: undefined,
  attested: {},
};

const usual: PolicyRequest = {
  principal: desk,
  action: 'token:issue',
  resource: { type: 'Api', identifier: 'https://tickets.example/api', name: 'Tickets', sensitivity: 'low' },
  context: {
    at,
    timeZone: 'UTC',
    address: '192.0.2.7',
    addressProvenance: 'observed',
    country: 'AT',
    zone: { name: 'eu-1', provenance: 'observed' },
    task: undefined,
    binding: 'dpop',
    method: 'private_key_jwt',
    proofAge: 0,
    scope: ['tickets:read'],
    details: [],
    chainDepth: 0,
    subject: undefined,
    operation: undefined,
    claimed: undefined,
  },
};

const rich: PolicyRequest = {
  principal: { ...desk, instance: 'ins_1', attested: { zone: 'eu-2', image: 'sha256:1' }, roles: ['a', 'b'] },
  action: 'resource:access',
  resource: { type: 'Tool', identifier: 'https://tools.example/mcp', name: 'export', sensitivity: 'high' },
  context: {
    ...usual.context,
    timeZone: 'Europe/Vienna',
    address: '198.51.100.1',
    addressProvenance: 'told',
    country: undefined,
    zone: { name: 'eu-2', provenance: 'attested' },
    task: {
      provenance: 'declared',
      id: undefined,
      workflow: 'mail Bob',
      step: 'greet him',
      environment: 'his home',
      purpose: 'for Ada',
    },
    binding: 'dpop+mtls',
    method: 'tls_client_auth',
    proofAge: 7,
    details: ['transfer'],
    chainDepth: 2,
    subject: 'per_1',
    operation: 'can_export',
    claimed: { 'action.soft': 'hush' },
  },
};

const orchestrated: PolicyRequest = {
  ...rich,
  context: {
    ...rich.context,
    task: { provenance: 'orchestrated', id: 'tsk_1', workflow: 'w', step: 's', environment: 'e', purpose: 'for Ada' },
  },
};

const foreign: PolicyRequest = {
  ...rich,
  principal: { type: 'Subject', kind: 'user', id: 'alice', properties: { department: 'Sales' } },
  resource: { type: 'Object', kind: 'record', id: 'record-1', properties: { owner: 'alice' } },
  context: { ...rich.context, zone: undefined },
};

const surroundings: Surroundings = {
  agentName: (id) => (id === 'agt_1' ? 'desk' : undefined),
  seen: (address, zone) => ({
    address,
    country: address === '192.0.2.7' ? 'AT' : undefined,
    zone:
      address === '192.0.2.7'
        ? { name: 'eu-1', provenance: 'observed' }
        : zone === undefined
          ? undefined
          : { name: zone, provenance: 'attested' },
  }),
};

/** The event that keeps a question, read again: as JSON, and with what stands beside it. */
function eventOf(type: DecidedEvent, request: PolicyRequest, scope = request.context.scope): ReadEvent {
  const { principal, context, resource } = request;
  const asked = type === 'access.evaluated';
  const issued = type === 'token.issued';
  const personal = recordedPersonal(type, request);
  const client = { environment: 'production', kind: 'ai_agent', method: context.method };
  return {
    id: 'evt_1',
    leaf: JSON.parse(
      canonicalJson({
        type,
        agent: asked ? 'agt_guard' : principal.id,
        instance: asked || principal.type === 'Subject' ? undefined : principal.instance,
        resource: resource.type === 'Object' ? undefined : resource.identifier,
        decided_on: {
          ...(!asked && { client }),
          policy_input: recorded(type, request, issued ? scope : undefined),
          ...(issued && { scope }),
        },
      }),
    ) as ReadEvent['leaf'],
    personal: JSON.parse(
      canonicalJson({
        owner: asked ? 'tea_guards' : 'tea_1',
        address: asked ? '203.0.113.1' : context.address,
        purpose: 'what the agent is for',
        ...(personal && { details: { policy_input: personal } }),
      }),
    ) as ReadEvent['personal'],
    erased: false,
  };
}

/** Getters read. */
const plain = (request: PolicyRequest | undefined) => request && { ...request, context: { ...request.context } };

suite('a question as events keep it', () => {
  const cases: [name: string, type: DecidedEvent, request: PolicyRequest][] = [
    ['a usual token', 'token.issued', usual],
    ['a token with everything', 'token.issued', rich],
    ['a refused token', 'token.refused', rich],
    ['a token of a task', 'token.issued', orchestrated],
    ['a guard asks about a task', 'access.evaluated', orchestrated],
    ['a guard asks about an agent', 'access.evaluated', rich],
    ['a guard asks what is usual', 'access.evaluated', usual],
    ['somebody asks about somebody that only they know', 'access.evaluated', foreign],
  ];
  for (const [name, type, request] of cases) {
    test(`is the same question when it is read: ${name}`, () => {
      assert.deepEqual(plain(requestOf(eventOf(type, request), surroundings)), request);
    });
  }

  test('is the same where less was granted by name than was asked for in effect', () => {
    for (const granted of [[], ['tickets:write'], ['tickets:read', 'tickets:write']]) {
      assert.deepEqual(plain(requestOf(eventOf('token.issued', usual, granted), surroundings)), usual);
    }
  });

  test('of a usual token costs the log few bytes', () => {
    const bytes = canonicalJson(recorded('token.issued', usual, usual.context.scope)).length;
    assert.ok(bytes <= 90, `${bytes} bytes`);
    assert.equal(recordedPersonal('token.issued', usual), undefined);
  });

  test('keeps nothing personal in the leaf', () => {
    for (const [, type, request] of cases) {
      const leaf = JSON.stringify(eventOf(type, request).leaf);
      for (const secret of [
        '192.0.2.7',
        '198.51.100.1',
        'tea_1',
        'for Ada',
        'per_1',
        'alice',
        'Sales',
        'sha256:1',
        'hush',
        'Bob',
        'him',
        'his home',
        'can_export',
      ]) {
        assert.ok(!leaf.includes(secret), `${secret} in ${leaf}`);
      }
    }
  });

  test('is no question any more once its person was erased, nor where policy was not asked', () => {
    const event = eventOf('token.issued', usual);
    assert.equal(requestOf({ ...event, personal: {}, erased: true }, surroundings), undefined);
    const { policy_input: _, ...rest } = event.leaf.decided_on as Record<string, unknown>;
    assert.equal(requestOf({ ...event, leaf: { ...event.leaf, decided_on: rest } }, surroundings), undefined);
  });
});
