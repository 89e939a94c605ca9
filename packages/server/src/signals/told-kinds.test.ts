/** Whoever listens hears of every kind of revocation that can be ordered. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { revocableKinds } from '../revocations/subjects.ts';
import { adminClient, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { signalReceiver, told } from '../testing/signal-receiver.ts';

type Things = Awaited<ReturnType<typeof populate>> & { token: string };
const rows: [kind: string, effect: string, subject: (t: Things) => string | undefined, event: string][] = [
  ['token', 'end', (t) => String(parseCompact(t.token).payload.jti), 'session-revoked'],
  ['credential', 'tokens', (t) => t.credential.id, 'session-revoked'],
  ['credential', 'end', (t) => t.credential.id, 'credential-change'],
  ['agent', 'tokens', (t) => t.agent.id, 'session-revoked'],
  ['agent', 'suspend', (t) => t.agent.id, 'session-revoked'],
  ['agent', 'end', (t) => t.agent.id, 'session-revoked'],
  ['role', 'tokens', (t) => t.role.id, 'session-revoked'],
  ['role', 'end', (t) => t.role.id, 'session-revoked'],
  ['role_grant', 'tokens', (t) => `${t.agent.id}+${t.role.id}`, 'session-revoked'],
  ['role_grant', 'end', (t) => `${t.agent.id}+${t.role.id}`, 'token-claims-change'],
  ['resource', 'tokens', (t) => t.resource.id, 'session-revoked'],
  ['resource', 'end', (t) => t.resource.id, 'session-revoked'],
  ['person', 'tokens', (t) => t.person.id, 'session-revoked'],
  ['team', 'tokens', (t) => t.team.id, 'session-revoked'],
  ['organization', 'tokens', (t) => t.organization, 'session-revoked'],
  ['key', 'end', (t) => parseCompact(t.token).header.kid as string, 'session-revoked'],
];
// instances and tasks are told of in streams.test.ts
const elsewhere = ['instance', 'task'];

for (const database of databases) {
  describe(`what is told of each kind of revocation, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(() => server.close());

    test('there is a row for every kind', () => {
      const kinds = new Set([...rows.map(([kind]) => kind), ...elsewhere]);
      assert.deepEqual([...kinds].sort(), [...revocableKinds].sort());
    });

    for (const [index, [kind, effect, subject, event]] of rows.entries()) {
      test(`${kind}, ${effect}: ${event}`, async () => {
        const operator = adminClient(server, server.operator);
        const name = `told${index}`;
        const { id } = await operator.ok('POST', '/organizations', { name });
        const things = await populate(operator, name);
        if (kind === 'team') await operator.ok('PATCH', `/agents/${things.agent.id}`, { owner: things.team.id });
        const client = adminClient(server, { client_id: things.agent.id, jwk: things.jwk });
        const token = await client.token(things.resource.identifier);
        const receiver = await signalReceiver(server, { organization: name });
        const { stream_id } = await receiver.stream();
        const reply = await operator.call('POST', `/revocations?organization=${name}`, {
          kind,
          subject: subject({ ...things, token, organization: id }),
          effect,
          reason: 'test',
        });
        assert.equal(reply.status, 201, reply.text);
        await told(server);
        const waiting = await server.deps.db.all<{ event: string }>('select event from signal_sets where stream = ?', [
          stream_id,
        ]);
        assert.ok(
          waiting.some((one) => one.event.endsWith(`/${event}`)),
          JSON.stringify(waiting),
        );
      });
    }
  });
}
