/** Whoever listens hears of every kind of revocation that can be ordered, of each of its effects, and of whatever is narrowed. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { type RevocableKind, revocableKinds, revocables } from '../revocations/subjects.ts';
import { type AdminClient, adminClient, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { type SignalReceiver, signalReceiver, told } from '../testing/signal-receiver.ts';

type Things = Awaited<ReturnType<typeof populate>> & {
  organizationId: string;
  token: ReturnType<typeof parseCompact>;
  task: { id: string };
};

interface Row {
  /** As `POST /revocations` has it. */
  subject(things: Things): string;
  more?: object;
  /** What stands in the subject of what is told. */
  names(things: Things): string;
  /** By effect, in the order in which they are done to the same thing; then what a change of it that takes something away tells. */
  effects: Partial<Record<'tokens' | 'suspend' | 'end', string>>;
  narrowed?: { path(things: Things): string; body: object; else: object };
}

const revoked = 'session-revoked';
const agentOf = (t: Things) => `/${t.agent.name}"`;
const rows: Record<RevocableKind, Row> = {
  token: { subject: jtiOf, names: jtiOf, effects: { end: revoked } },
  task: { subject: (t) => t.task.id, names: (t) => t.task.id, effects: { tokens: revoked, end: revoked } },
  mandate: {
    subject: (t) => t.mandate.id,
    names: (t) => t.mandate.id,
    narrowed: {
      path: (t) => `/mandates/${t.mandate.id}`,
      body: { limits: { uses: 5 } },
      else: { limits: { uses: 20 } },
    },
    effects: { tokens: revoked, suspend: revoked, end: revoked },
  },
  trusted_issuer: {
    subject: (t) => t.issuer.id,
    names: (t) => t.issuer.id,
    narrowed: {
      path: (t) => `/trusted-issuers/${t.issuer.id}`,
      body: { max_age_seconds: 60 },
      else: { max_age_seconds: 3600 },
    },
    effects: { tokens: revoked, suspend: revoked, end: revoked },
  },
  instance: {
    subject: (t) => t.instance,
    names: (t) => `/${t.agent.name}/`,
    effects: { tokens: revoked, end: revoked },
  },
  credential: {
    subject: (t) => t.credential.id,
    names: agentOf,
    effects: { tokens: revoked, end: 'credential-change' },
  },
  agent: {
    subject: (t) => t.agent.id,
    names: agentOf,
    narrowed: { path: (t) => `/agents/${t.agent.id}`, body: { resources: [] }, else: { purpose: 'another' } },
    effects: { tokens: revoked, suspend: revoked, end: revoked },
  },
  role: {
    subject: (t) => t.role.id,
    names: (t) => t.role.id,
    narrowed: { path: (t) => `/roles/${t.role.id}`, body: { permissions: [] }, else: { description: 'other' } },
    effects: { tokens: revoked, end: revoked },
  },
  role_grant: {
    subject: (t) => `${t.agent.id}+${t.role.id}`,
    names: agentOf,
    effects: { tokens: revoked, end: 'token-claims-change' },
  },
  person: {
    subject: (t) => t.person.id,
    more: { agents: true },
    names: (t) => `${t.person.id}|${agentOf(t)}`,
    effects: { tokens: revoked, suspend: revoked, end: revoked },
  },
  team: {
    subject: (t) => t.team.id,
    names: agentOf,
    effects: { tokens: revoked, suspend: revoked, end: revoked },
  },
  organization: {
    subject: (t) => t.organizationId,
    names: (t) => t.organizationId,
    effects: { tokens: revoked, suspend: revoked },
  },
  resource: {
    subject: (t) => t.resource.id,
    names: (t) => t.resource.identifier,
    narrowed: {
      path: (t) => `/resources/${t.resource.id}`,
      body: { scopes: [{ name: 'tickets:write' }], operations: [] },
      else: { name: 'Other' },
    },
    effects: { tokens: revoked, end: revoked },
  },
  key: { subject: (t) => String(t.token.header.kid), names: (t) => t.organizationId, effects: { end: revoked } },
};

function jtiOf({ token }: Things): string {
  return String(token.payload.jti);
}

for (const database of databases) {
  describe(`what is told of each kind of revocation, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    before(async () => {
      server = await startServer({ database, config: { signals: { signing_alg: 'ES256' } } });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    test('there is a row for every kind and effect', () => {
      for (const kind of revocableKinds) {
        assert.deepEqual(Object.keys(rows[kind].effects).sort(), [...revocables[kind].effects].sort(), kind);
      }
    });

    /** An organization of everything, and somebody who hears of it. */
    async function world(kind: string): Promise<{ things: Things; receiver: SignalReceiver }> {
      const name = `of-${kind.replace('_', '-')}`;
      const { id: organizationId } = await operator.ok('POST', '/organizations', { name });
      const things = await populate(operator, name);
      if (kind === 'team') await operator.ok('PATCH', `/agents/${things.agent.id}`, { owner: things.team.id });
      const client = adminClient(server, { client_id: things.agent.id, jwk: things.jwk });
      const token = parseCompact(await client.token(things.resource.identifier));
      const orchestrator = await orchestratorClient(server, { organization: name });
      const task = await orchestrator.open(things.agent.id);
      const receiver = await signalReceiver(server, { organization: name });
      return { things: { ...things, organizationId, token, task }, receiver };
    }

    for (const [kind, { subject, more, names, effects, narrowed }] of Object.entries(rows)) {
      test(`${kind}: ${[...(narrowed ? ['narrowed'] : []), ...Object.keys(effects)].join(', ')}`, async () => {
        const { things, receiver } = await world(kind);
        const stream = await receiver.stream();
        let seen = 0;
        /** What was put into the stream since it was looked last: its type, and whom it names. */
        const heard = async () => {
          await told(server);
          const sets = await server.deps.db.all<{ seq: number; event: string; claims: string }>(
            'select seq, event, claims from signal_sets where stream = ? and seq > ? order by seq',
            [stream.stream_id, seen],
          );
          seen = sets.at(-1)?.seq ?? seen;
          return sets.map(({ event, claims }) => ({
            event: event.slice(event.lastIndexOf('/') + 1),
            subject: JSON.stringify(JSON.parse(claims).sub_id),
          }));
        };
        const tells = async (what: string, event: string) => {
          const sets = await heard();
          const wanted = names(things).split('|');
          assert.ok(
            wanted.every((name) => sets.some((set) => set.event === event && set.subject.includes(name))),
            `${what}: ${JSON.stringify({ event, wanted, sets })}`,
          );
        };
        assert.deepEqual(await heard(), [], 'nothing of what was before');
        if (narrowed) {
          const { path, body } = narrowed;
          await operator.ok('PATCH', path(things), narrowed.else);
          assert.deepEqual(await heard(), [], 'what takes nothing away is no news');
          await operator.ok('PATCH', path(things), body);
          await tells('narrowed', revoked);
        }
        for (const [effect, event] of Object.entries(effects)) {
          const order = { kind, subject: subject(things), effect, reason: 'test', ...more };
          const reply = await operator.call('POST', `/revocations?organization=${things.organization}`, order);
          assert.equal(reply.status, 201, reply.text);
          await tells(effect, event);
        }
      });
    }
  });
}
