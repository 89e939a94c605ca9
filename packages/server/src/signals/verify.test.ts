/** An administrator asks whether a stream works: the receiver gets a verification event that it didn't ask for. @see SSF 1.0 §8.1.4 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { pushTarget, signalReceiver, testWeb } from '../testing/signal-receiver.ts';
import { until } from '../testing/until.ts';

for (const database of databases) {
  describe(`verification of streams by administrators, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let server: TestServer;
    let operator: AdminClient;
    before(async () => {
      web = await testWeb();
      server = await startServer({
        database,
        config: { signals: { signing_alg: 'ES256' }, outbound: { ca_file: web.caFile } },
      });
      operator = adminClient(server, server.operator);
    });
    after(async () => {
      await server.close();
      web.remove();
    });

    const verify = (id: string) => operator.call('POST', `/signal-streams/${id}/verify`);

    test('the receiver fetches one, without a state, and no second one while it waits', async () => {
      const receiver = await signalReceiver(server);
      const stream = await receiver.stream();
      for (const _ of [1, 2]) {
        const asked = await verify(stream.stream_id);
        assert.deepEqual([asked.status, asked.body.id, asked.body.waiting], [200, stream.stream_id, 1]);
      }
      const [one, ...others] = await receiver.fetch(stream);
      assert.deepEqual(others, []);
      assert.deepEqual([one?.event, one?.says], ['verification', {}]);
      assert.deepEqual(one?.claims.sub_id, { format: 'opaque', id: stream.stream_id });
      assert.deepEqual(await receiver.fetch(stream, { ack: [one?.jti] }), []);
      // the receiver's own turn was not taken by it, and ours is not taken by the receiver's
      const own = await receiver.call('POST', '/ssf/verification', { stream_id: stream.stream_id, state: 'mine' });
      assert.equal(own.status, 204);
      const [mine] = await receiver.fetch(stream);
      assert.deepEqual(mine?.says, { state: 'mine' });
      await receiver.fetch(stream, { ack: [mine?.jti] });
      assert.equal((await verify(stream.stream_id)).status, 200);
      const [again] = await receiver.fetch(stream);
      assert.notEqual(again?.jti, one?.jti);
      const target = `/events?type=signal.stream_changed&target=${stream.stream_id}`;
      const { items } = await operator.ok('GET', target);
      const asked = items.filter(
        ({ decided_on }: { decided_on: { changed: { change: string } } }) =>
          decided_on.changed.change === 'verification',
      );
      assert.equal(asked.length, 2, 'what sent none is no event');
    });

    test('it is pushed where streams are pushed', async () => {
      const target = await pushTarget(web);
      try {
        const receiver = await signalReceiver(server);
        const { stream_id: id } = await receiver.stream({
          delivery: { method: 'urn:ietf:rfc:8935', endpoint_url: target.url },
        });
        assert.equal((await verify(id)).status, 200);
        await until(
          () => operator.ok('GET', `/signal-streams/${id}`),
          ({ waiting, delivered_at }) => waiting === 0 && delivered_at !== undefined,
        );
      } finally {
        await target.close();
      }
    });

    test('not on a stream that is disabled, and not by who may only read', async () => {
      const receiver = await signalReceiver(server);
      const { stream_id: id } = await receiver.stream();
      const reader = await administrator(server, operator, { scopes: ['signals:read'] });
      assert.equal((await reader.call('POST', `/signal-streams/${id}/verify`)).status, 403);
      assert.equal((await receiver.call('POST', '/ssf/status', { stream_id: id, status: 'disabled' })).status, 200);
      const refused = await verify(id);
      assert.deepEqual([refused.status, refused.body.errors[0].field], [409, 'status']);
      const { waiting } = await operator.ok('GET', `/signal-streams/${id}`);
      assert.equal(waiting, 0);
    });
  });
}
