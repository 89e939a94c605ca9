/** The transmitter of security signals (SSF 1.0, CAEP 1.0), by a receiver that knows its metadata and reads SETs by `jose`. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import {
  type PushTarget,
  pushTarget,
  type SignalReceiver,
  signalReceiver,
  testWeb,
  told,
  verified,
  wellKnown,
} from '../packages/server/src/testing/signal-receiver.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import { until } from '../packages/server/src/testing/until.ts';
import { databases } from './world.ts';

const caep = 'https://schemas.openid.net/secevent/caep/event-type/';
const push = 'urn:ietf:rfc:8935';
const poll = 'urn:ietf:rfc:8936';

for (const database of databases) {
  describe(`security signals that are told, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let server: TestServer;
    let receiver: SignalReceiver;
    let client: TokenClient;
    let target: PushTarget;
    before(async () => {
      web = await testWeb();
      target = await pushTarget(web);
      server = await startServer({
        database,
        config: { signals: { signing_alg: 'ES256' }, outbound: { ca_file: web.caFile } },
      });
      receiver = await signalReceiver(server);
      client = await tokenClient(server);
    });
    after(async () => {
      await server.close();
      await target.close();
      web.remove();
    });

    type Stream = Awaited<ReturnType<SignalReceiver['stream']>>;
    const remove = ({ stream_id }: Stream) => receiver.call('DELETE', `/ssf/streams?stream_id=${stream_id}`);
    const suspend = async () => {
      await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'test' });
      await server.admin('POST', `/agents/${client.clientId}/resume`);
      await told(server);
    };
    const subject = async () => {
      const { subject: sub } = await server.admin<{ subject: string }>('GET', `/agents/${client.clientId}`);
      return { format: 'iss_sub', iss: server.issuer, sub };
    };

    test('metadata says where everything is, which versions and methods there are, and is found by the issuer', async () => {
      const response = await fetch(`${server.issuer}${wellKnown(server.issuer)}`);
      assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
      const metadata = (await response.json()) as Record<string, unknown>;
      assert.equal(metadata.issuer, server.issuer);
      assert.equal(metadata.spec_version, '1_0');
      assert.deepEqual(metadata.delivery_methods_supported, [push, poll]);
      for (const name of ['jwks_uri', 'configuration_endpoint', 'status_endpoint', 'verification_endpoint'])
        assert.ok(String(metadata[name]).startsWith(`${server.issuer}/`), name);
      for (const name of ['add_subject_endpoint', 'remove_subject_endpoint'])
        assert.ok(String(metadata[name]).startsWith(`${server.issuer}/`), name);
      assert.deepEqual(metadata.authorization_schemes, [
        { spec_urn: 'urn:ietf:rfc:6749' },
        { spec_urn: 'urn:ietf:rfc:9449' },
      ]);
    });

    test('a stream is created, read, updated, replaced and deleted', async () => {
      const wanted = [`${caep}session-revoked`, 'https://other.example/event'];
      const stream = await receiver.stream({ events_requested: wanted, description: 'one' });
      assert.equal(stream.iss, server.issuer);
      assert.deepEqual(stream.events_requested, wanted);
      assert.deepEqual(stream.events_delivered, [`${caep}session-revoked`]);
      assert.equal((stream.delivery as { method: string }).method, poll);
      const at = `/ssf/streams?stream_id=${stream.stream_id}`;
      assert.deepEqual((await receiver.call('GET', at)).body, stream);
      const { stream_id } = stream;
      const patched = await receiver.call('PATCH', '/ssf/streams', { stream_id, description: 'two' });
      assert.deepEqual([patched.status, patched.body.description], [200, 'two']);
      assert.deepEqual(patched.body.events_requested, wanted);
      const replaced = await receiver.call('PUT', '/ssf/streams', { stream_id, delivery: { method: poll } });
      assert.deepEqual([replaced.status, replaced.body.description], [200, undefined]);
      assert.equal((await remove(stream)).status, 204);
      assert.equal((await receiver.call('GET', at)).status, 404);
    });

    test('a status is read and changed: what is paused is held, what is disabled is not', async () => {
      const stream = await receiver.stream();
      const { stream_id } = stream;
      const becomes = async (status: string) => {
        const { body } = await receiver.call('POST', '/ssf/status', { stream_id, status, reason: 'a test' });
        assert.deepEqual(body, { stream_id, status, reason: 'a test' });
        assert.deepEqual((await receiver.call('GET', `/ssf/status?stream_id=${stream_id}`)).body, body);
      };
      await becomes('paused');
      await suspend();
      assert.deepEqual(await receiver.fetch(stream), []);
      await becomes('enabled');
      const [held] = await receiver.fetch(stream);
      assert.equal((await receiver.fetch(stream, { ack: [held?.jti] })).length, 0);
      await becomes('disabled');
      await suspend();
      await becomes('enabled');
      assert.deepEqual(await receiver.fetch(stream), []);
      await remove(stream);
    });

    test('subjects are removed and added', async () => {
      const stream = await receiver.stream();
      const body = { stream_id: stream.stream_id, subject: await subject() };
      assert.equal((await receiver.call('POST', '/ssf/subjects/remove', body)).status, 204);
      await suspend();
      assert.deepEqual(await receiver.fetch(stream), []);
      assert.equal((await receiver.call('POST', '/ssf/subjects/add', { ...body, verified: true })).status, 200);
      await suspend();
      assert.equal((await receiver.fetch(stream)).length, 1);
      await remove(stream);
    });

    test('a verification comes with the state that was sent, about the stream', async () => {
      const stream = await receiver.stream();
      const { stream_id } = stream;
      assert.equal((await receiver.call('POST', '/ssf/verification', { stream_id, state: 'xyz' })).status, 204);
      const [set] = await receiver.fetch(stream);
      assert.deepEqual(set?.claims.events, {
        'https://schemas.openid.net/secevent/ssf/event-type/verification': { state: 'xyz' },
      });
      assert.deepEqual(set?.claims.sub_id, { format: 'opaque', id: stream_id });
      assert.equal((await receiver.call('POST', '/ssf/verification', { stream_id })).status, 429);
      await remove(stream);
    });

    test('a SET is typed, for one receiver, and about one event: its subject stands in sub_id', async () => {
      const stream = await receiver.stream();
      await suspend();
      const [set] = await receiver.fetch(stream);
      assert.equal(set?.header.typ, 'secevent+jwt');
      assert.deepEqual(Object.keys(set?.claims ?? {}).sort(), ['aud', 'events', 'iat', 'iss', 'jti', 'sub_id', 'txn']);
      assert.deepEqual(set?.claims.sub_id, await subject());
      assert.equal(set?.claims.aud, stream.aud);
      const other = await (await signalReceiver(server)).stream();
      assert.notEqual(other.aud, stream.aud);
      await remove(stream);
    });

    test('events of CAEP have what it requires', async () => {
      const stream = await receiver.stream();
      const fresh = await tokenClient(server);
      await server.admin('DELETE', `/agents/${fresh.clientId}/roles/${fresh.role}`);
      await server.admin('POST', `/agents/${fresh.clientId}/suspend`, { reason: 'test' });
      await told(server);
      const byEvent = new Map<string, Awaited<ReturnType<typeof receiver.fetch>>[number]>();
      for (const set of await receiver.fetch(stream)) byEvent.set(set.event, set);
      assert.deepEqual([...byEvent.keys()].sort(), ['credential-change', 'session-revoked', 'token-claims-change']);
      for (const { says } of byEvent.values()) {
        assert.ok(Number.isInteger(says.event_timestamp));
        assert.ok(['admin', 'user', 'policy', 'system'].includes(String(says.initiating_entity)));
        assert.equal(typeof (says.reason_admin as { en: string }).en, 'string');
      }
      const credential = byEvent.get('credential-change')?.says;
      assert.deepEqual([credential?.change_type, typeof credential?.credential_type], ['create', 'string']);
      assert.deepEqual(byEvent.get('token-claims-change')?.says.claims, { scope: '' });
      await remove(stream);
    });

    test('what is fetched comes again until it is acknowledged or refused, so many at a time, and more is said to be more', async () => {
      const stream = await receiver.stream();
      for (let i = 0; i < 3; i++) await suspend();
      const ask = async (more: object) => {
        const { status, body } = await receiver.call('POST', `/ssf/poll/${stream.stream_id}`, {
          returnImmediately: true,
          ...more,
        });
        assert.equal(status, 200);
        return { jtis: Object.keys(body.sets), more: body.moreAvailable };
      };
      const all = await ask({});
      assert.deepEqual([all.jtis.length, all.more], [3, undefined]);
      assert.deepEqual(await ask({ maxEvents: 2 }), { jtis: all.jtis.slice(0, 2), more: true });
      assert.deepEqual(await ask({ maxEvents: 0, ack: all.jtis.slice(0, 1) }), { jtis: [], more: undefined });
      const refused = { [all.jtis[1] as string]: { err: 'invalid_request', description: 'x' } };
      assert.deepEqual(await ask({ setErrs: refused }), { jtis: all.jtis.slice(2), more: undefined });
      await remove(stream);
    });

    test('what is pushed has its media type and the header that was asked for, and comes again until it is taken', async () => {
      target.answer = (_, response) => {
        const status = target.heard.length === 1 ? 503 : 202;
        response.writeHead(status).end();
      };
      const delivery = { method: push, endpoint_url: target.url, authorization_header: 'Bearer of-the-receiver' };
      const stream = await receiver.stream({ delivery });
      await suspend();
      await target.heardAll(1);
      await suspend();
      const failures = async () =>
        (await server.admin<{ failures: number }>('GET', `/signal-streams/${stream.stream_id}`)).failures;
      await until(failures, (count) => count === 1);
      server.clock.advance(2_000);
      await target.heardAll(3);
      const sets = await Promise.all(
        target.heard.map(({ body }) => verified(server, body, stream.aud, server.clock.now())),
      );
      for (const { type, authorization } of target.heard) {
        assert.deepEqual([type, authorization], ['application/secevent+jwt', 'Bearer of-the-receiver']);
      }
      assert.equal(sets[1]?.jti, sets[0]?.jti);
      assert.notEqual(sets[2]?.jti, sets[1]?.jti);
      await remove(stream);
    });

    test('nobody without a token of that scope reads or changes a stream, nor one of another receiver', async () => {
      const stream = await receiver.stream();
      const at = `/ssf/streams?stream_id=${stream.stream_id}`;
      const bare = await fetch(`${server.issuer}${at}`);
      assert.equal(bare.status, 401);
      const reader = await signalReceiver(server, { scope: ['ssf.read'] });
      assert.equal((await reader.call('POST', '/ssf/streams', {})).status, 403);
      assert.equal((await reader.call('GET', at)).status, 404);
      await remove(stream);
    });
  });
}
