/** Streams of signals from their receivers’ side: made, read, changed, and what they tell. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type SignalReceiver, signalReceiver, told, wellKnown } from '../testing/signal-receiver.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const caep = 'https://schemas.openid.net/secevent/caep/event-type/';
const push = 'urn:ietf:rfc:8935';
const pollMethod = 'urn:ietf:rfc:8936';
const delivery = { method: push, endpoint_url: 'https://receiver.example/signals', authorization_header: 'Bearer abc' };

for (const database of databases) {
  describe(`streams of signals, on ${database}`, () => {
    let server: TestServer;
    let receiver: SignalReceiver;
    let other: SignalReceiver;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database, config: { signals: { signing_alg: 'ES256' } } });
      receiver = await signalReceiver(server);
      other = await signalReceiver(server);
      client = await tokenClient(server);
    });
    after(() => server.close());

    const suspend = (agent: string) => server.admin('POST', `/agents/${agent}/suspend`, { reason: 'test' });
    const resume = (agent: string) => server.admin('POST', `/agents/${agent}/resume`);
    const subjectOf = async (agent: string) => {
      const { subject } = await server.admin<{ subject: string }>('GET', `/agents/${agent}`);
      return { format: 'iss_sub', iss: server.issuer, sub: subject };
    };
    const remove = (id: string) => receiver.call('DELETE', `/ssf/streams?stream_id=${id}`);

    test('metadata says what works, and nothing else', async () => {
      const response = await fetch(`${server.issuer}${wellKnown(server.issuer)}`);
      assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
      const metadata = (await response.json()) as Record<string, unknown>;
      const { issuer } = server;
      assert.deepEqual(metadata, {
        spec_version: '1_0',
        issuer,
        jwks_uri: `${issuer}/oauth2/jwks`,
        delivery_methods_supported: [push, pollMethod],
        configuration_endpoint: `${issuer}/ssf/streams`,
        status_endpoint: `${issuer}/ssf/status`,
        add_subject_endpoint: `${issuer}/ssf/subjects/add`,
        remove_subject_endpoint: `${issuer}/ssf/subjects/remove`,
        verification_endpoint: `${issuer}/ssf/verification`,
        authorization_schemes: [{ spec_urn: 'urn:ietf:rfc:6749' }, { spec_urn: 'urn:ietf:rfc:9449' }],
        default_subjects: 'ALL',
      });
    });

    test('a stream lives: made, read, updated, replaced, removed', async () => {
      const made = await receiver.stream({
        delivery,
        events_requested: [`${caep}session-revoked`, 'urn:x:unknown'],
        description: 'one',
      });
      const id = made.stream_id;
      assert.match(id, /^sst_/);
      assert.deepEqual(made, {
        stream_id: id,
        iss: server.issuer,
        aud: `${server.issuer}/ssf/receivers/${receiver.clientId}`,
        events_supported: ['session-revoked', 'token-claims-change', 'credential-change'].map((name) => caep + name),
        events_requested: [`${caep}session-revoked`, 'urn:x:unknown'],
        events_delivered: [`${caep}session-revoked`],
        delivery: { method: push, endpoint_url: delivery.endpoint_url },
        min_verification_interval: 30,
        description: 'one',
      });
      assert.deepEqual((await receiver.call('GET', `/ssf/streams?stream_id=${id}`)).body, made);
      assert.deepEqual((await receiver.call('GET', '/ssf/streams')).body, [made]);
      assert.deepEqual((await other.call('GET', '/ssf/streams')).body, []);

      const updated = await receiver.call('PATCH', '/ssf/streams', { ...made, description: 'two' });
      assert.equal(updated.status, 200, JSON.stringify(updated.body));
      assert.deepEqual(updated.body, { ...made, description: 'two' });
      const { events_requested: _, description: __, ...rest } = made;
      const replaced = await receiver.call('PUT', '/ssf/streams', { stream_id: id, delivery: made.delivery });
      assert.deepEqual(replaced.body, { ...rest, events_delivered: made.events_supported });
      const polled = await receiver.call('PUT', '/ssf/streams', { stream_id: id });
      assert.deepEqual(polled.body.delivery, { method: pollMethod, endpoint_url: `${server.issuer}/ssf/poll/${id}` });

      assert.equal((await remove(id)).status, 204);
      assert.equal((await receiver.call('GET', `/ssf/streams?stream_id=${id}`)).status, 404);
      assert.deepEqual((await receiver.call('GET', '/ssf/streams')).body, []);
      const { items } = await server.admin<{ items: { type: string; decided_on: { changed: object } }[] }>(
        'GET',
        `/events?target=${id}`,
      );
      assert.deepEqual(
        items.map(({ decided_on }) => decided_on.changed),
        [
          { change: 'removed' },
          { change: 'updated', method: 'poll', events: made.events_supported },
          { change: 'updated', method: 'push', host: 'receiver.example', events: made.events_supported },
          { change: 'updated', method: 'push', host: 'receiver.example', events: made.events_delivered },
          { change: 'created', method: 'push', host: 'receiver.example', events: made.events_delivered },
        ],
      );
      assert.doesNotMatch(JSON.stringify(items), /Bearer|\/signals"/);
    });

    test('what happens is told, once it is acknowledged no more, and in a form that any receiver reads', async () => {
      const stream = await receiver.stream();
      const { body: token } = await client.send();
      await suspend(client.clientId);
      await told(server);
      const [set, ...rest] = await receiver.fetch(stream);
      assert.equal(rest.length, 0);
      assert.ok(set && token.access_token);
      assert.equal(set.header.typ, 'secevent+jwt');
      assert.deepEqual(Object.keys(set.claims).sort(), ['aud', 'events', 'iat', 'iss', 'jti', 'sub_id', 'txn']);
      assert.deepEqual(set.claims.sub_id, await subjectOf(client.clientId));
      assert.equal(set.event, 'session-revoked');
      assert.deepEqual(set.says, {
        event_timestamp: Math.floor((server.clock.now() - 600) / 1000),
        initiating_entity: 'admin',
        reason_admin: { en: 'An agent was stopped until it is resumed.' },
      });
      // what was not acknowledged comes again, the same
      const [again] = await receiver.fetch(stream);
      assert.deepEqual(again?.claims, set.claims);
      assert.deepEqual(await receiver.fetch(stream, { ack: [set.jti] }), []);
      await resume(client.clientId);
      await told(server);
      assert.deepEqual(await receiver.fetch(stream), []);
      await remove(stream.stream_id);
    });

    test('credentials, roles, tokens, tasks: each by what names it', async () => {
      const stream = await receiver.stream();
      const fresh = await tokenClient(server);
      await told(server);
      const first = await receiver.fetch(stream);
      assert.deepEqual(
        first.map(({ event, says }) => [event, says.change_type ?? says.claims]),
        [
          ['credential-change', 'create'],
          ['token-claims-change', { scope: 'tickets:read tickets:write' }],
        ],
      );
      const user = await subjectOf(fresh.clientId);
      assert.deepEqual(first[1]?.claims.sub_id, {
        format: 'complex',
        user,
        application: { format: 'uri', uri: fresh.identifier },
        tenant: { format: 'opaque', id: fresh.organization },
      });
      const { body: issued } = await fresh.send();
      const jti = JSON.parse(Buffer.from(String(issued.access_token).split('.')[1] ?? '', 'base64url').toString()).jti;
      const form = await fresh.form({ token: String(issued.access_token) });
      delete form.grant_type;
      await fetch(`${server.issuer}/oauth2/revoke`, { method: 'POST', body: new URLSearchParams(form) });
      await server.admin('DELETE', `/agents/${fresh.clientId}/roles/${fresh.role}`);
      await server.admin('DELETE', `/credentials/${fresh.credential}`);
      await told(server);
      const sets = await receiver.fetch(stream, { ack: first.map((set) => set.jti) });
      assert.deepEqual(
        sets.map(({ event, says, claims: { sub_id } }) => [event, sub_id, says.change_type ?? says.claims]),
        [
          ['session-revoked', { format: 'jwt_id', iss: server.issuer, jti }, undefined],
          ['token-claims-change', first[1]?.claims.sub_id, { scope: '' }],
          ['credential-change', user, 'revoke'],
        ],
      );
      await remove(stream.stream_id);
    });

    test('a verification says that it works, not more often than it may be asked for', async () => {
      const stream = await receiver.stream();
      const ask = { stream_id: stream.stream_id, state: 'wxyz' };
      assert.equal((await receiver.call('POST', '/ssf/verification', ask)).status, 204);
      const [set] = await receiver.fetch(stream);
      assert.deepEqual(set?.claims.sub_id, { format: 'opaque', id: stream.stream_id });
      assert.deepEqual(set?.claims.events, {
        'https://schemas.openid.net/secevent/ssf/event-type/verification': { state: 'wxyz' },
      });
      const soon = await receiver.call('POST', '/ssf/verification', ask);
      assert.deepEqual([soon.status, soon.headers.get('retry-after')], [429, '30']);
      server.clock.advance(30_000);
      assert.equal((await receiver.call('POST', '/ssf/verification', { stream_id: stream.stream_id })).status, 204);
      const [, second] = await receiver.fetch(stream);
      assert.deepEqual(second?.says, {});
      await remove(stream.stream_id);
    });

    test('a receiver says about whom it wants to hear', async () => {
      const stream = await receiver.stream();
      const subject = await subjectOf(client.clientId);
      const say = (how: string, more: object = {}) =>
        receiver.call('POST', `/ssf/subjects/${how}`, { stream_id: stream.stream_id, subject, ...more });
      const removed = await say('remove');
      assert.deepEqual([removed.status, removed.body], [204, undefined]);
      await suspend(client.clientId);
      await resume(client.clientId);
      await told(server);
      assert.deepEqual(await receiver.fetch(stream), []);
      // by a complex subject all of its organization is meant
      const tenant = { format: 'complex', tenant: { format: 'opaque', id: client.organization } };
      const added = await say('add', { verified: true });
      assert.deepEqual([added.status, added.body], [200, undefined]);
      await say('remove', { subject: tenant });
      await suspend(client.clientId);
      await resume(client.clientId);
      await told(server);
      assert.deepEqual(await receiver.fetch(stream), []);
      await say('add', { subject: tenant });
      await suspend(client.clientId);
      await resume(client.clientId);
      await told(server);
      assert.equal((await receiver.fetch(stream)).length, 1);
      await remove(stream.stream_id);
    });

    test('a receiver is told nothing of other organizations, and gets at no stream of another', async () => {
      const { id: organization } = await server.admin<{ id: string }>('POST', '/organizations', {
        name: 'elsewhere',
      });
      const foreign = await signalReceiver(server, { organization });
      const theirs = await foreign.stream();
      const ours = await receiver.stream();
      assert.notEqual(theirs.aud, ours.aud);
      await suspend(client.clientId);
      await resume(client.clientId);
      await told(server);
      assert.deepEqual(await foreign.fetch(theirs), []);
      assert.equal((await receiver.fetch(ours)).length, 1);
      const { stream_id } = ours;
      for (const stranger of [foreign, other]) {
        for (const [method, path, body] of [
          ['GET', `/ssf/streams?stream_id=${stream_id}`],
          ['PATCH', '/ssf/streams', { stream_id, description: 'x' }],
          ['PUT', '/ssf/streams', { stream_id }],
          ['DELETE', `/ssf/streams?stream_id=${stream_id}`],
          ['GET', `/ssf/status?stream_id=${stream_id}`],
          ['POST', '/ssf/status', { stream_id, status: 'disabled' }],
          ['POST', '/ssf/verification', { stream_id }],
          ['POST', '/ssf/subjects/add', { stream_id, subject: { format: 'opaque', id: 'x' } }],
          ['POST', '/ssf/subjects/remove', { stream_id, subject: { format: 'opaque', id: 'x' } }],
          ['POST', `/ssf/poll/${stream_id}`, { returnImmediately: true }],
          ['POST', `/ssf/poll/${stream_id}`, { ack: ['x'], returnImmediately: true }],
        ] as const) {
          const { status } = await stranger.call(method, path, body);
          assert.equal(status, 404, `${method} ${path}`);
        }
      }
      assert.equal((await receiver.fetch(ours)).length, 1);
      await remove(stream_id);
    });

    test('who may only read changes nothing, and who has neither scope gets nothing', async () => {
      const reader = await signalReceiver(server, { scope: ['ssf.read'] });
      const refused = await reader.call('POST', '/ssf/streams', {});
      assert.equal(refused.status, 403);
      assert.match(refused.headers.get('www-authenticate') ?? '', /insufficient_scope.*ssf\.manage/);
      assert.deepEqual((await reader.call('GET', '/ssf/streams')).body, []);
      assert.equal((await fetch(`${server.issuer}/ssf/streams`)).status, 401);
      const { items } = await server.admin<{ items: { outcome: string; decided_on: { operation: string } }[] }>(
        'GET',
        `/events?agent=${reader.clientId}&type=signal.stream_changed`,
      );
      assert.deepEqual(
        items.map(({ outcome, decided_on }) => [outcome, decided_on.operation]),
        [['refused', 'createStream']],
      );
    });
  });
}
