/** Signals that are fetched: held, waited for, and more than fits. @see RFC 8936 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type SignalReceiver, signalReceiver, told } from '../testing/signal-receiver.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { until } from '../testing/until.ts';

for (const database of databases) {
  describe(`signals that are fetched, on ${database}`, () => {
    let server: TestServer;
    let receiver: SignalReceiver;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database, config: { signals: { signing_alg: 'ES256' } } });
      receiver = await signalReceiver(server);
      client = await tokenClient(server);
    });
    after(() => server.close());

    const suspend = (agent: string) => server.admin('POST', `/agents/${agent}/suspend`, { reason: 'test' });
    const resume = (agent: string) => server.admin('POST', `/agents/${agent}/resume`);
    const remove = (id: string) => receiver.call('DELETE', `/ssf/streams?stream_id=${id}`);

    test('a question may wait for news; a newer one takes its place', async () => {
      const stream = await receiver.stream();
      const first = receiver.fetch(stream, { returnImmediately: false });
      const second = receiver.fetch(stream, { returnImmediately: false });
      await Promise.race([first, second]);
      await receiver.call('POST', '/ssf/verification', { stream_id: stream.stream_id });
      const [one, two] = await Promise.all([first, second]);
      assert.deepEqual([one.length, two.length].sort(), [0, 1]);
      // and it waits no longer than it should
      const [set] = two.length > 0 ? two : one;
      const waiting = receiver.fetch(stream, { returnImmediately: false, ack: [set?.jti] });
      let ended: number | undefined;
      void waiting.then((sets) => {
        ended = sets.length;
      });
      await until(
        () => ended,
        (count) => count !== undefined,
        async () => {
          // a question of its own in between: the one that waits was heard by then
          await receiver.call('GET', `/ssf/status?stream_id=${stream.stream_id}`);
          server.clock.advance(1000);
        },
      );
      assert.equal(ended, 0);
      await remove(stream.stream_id);
    });

    test('more than fits into one answer is said to be more', async () => {
      const stream = await receiver.stream();
      for (let n = 0; n < 3; n += 1) {
        await suspend(client.clientId);
        await resume(client.clientId);
      }
      await told(server);
      const { body } = await receiver.call('POST', `/ssf/poll/${stream.stream_id}`, {
        maxEvents: 2,
        returnImmediately: true,
      });
      assert.deepEqual([Object.keys(body.sets).length, body.moreAvailable], [2, true]);
      const [first, second] = Object.keys(body.sets);
      const setErrs = { [second as string]: { err: 'invalid_request', description: 'no' } };
      const { body: none } = await receiver.call('POST', `/ssf/poll/${stream.stream_id}`, {
        maxEvents: 0,
        ack: [first],
        setErrs,
      });
      assert.deepEqual(none, { sets: {} });
      assert.equal((await receiver.fetch(stream)).length, 1);
      await remove(stream.stream_id);
    });

    test('what is paused is held, what is disabled is not', async () => {
      const stream = await receiver.stream();
      const { stream_id } = stream;
      const set = (status: string, reason?: string) =>
        receiver.call('POST', '/ssf/status', { stream_id, status, reason });
      assert.deepEqual((await receiver.call('GET', `/ssf/status?stream_id=${stream_id}`)).body, {
        stream_id,
        status: 'enabled',
      });
      assert.deepEqual((await set('paused', 'night')).body, { stream_id, status: 'paused', reason: 'night' });
      await suspend(client.clientId);
      await resume(client.clientId);
      await told(server);
      assert.deepEqual(await receiver.fetch(stream), []);
      await set('enabled');
      const [held] = await receiver.fetch(stream);
      assert.equal(held?.event, 'session-revoked');
      await set('disabled');
      assert.deepEqual((await receiver.call('GET', `/ssf/status?stream_id=${stream_id}`)).body, {
        stream_id,
        status: 'disabled',
      });
      await suspend(client.clientId);
      await resume(client.clientId);
      await told(server);
      await set('enabled');
      assert.deepEqual(await receiver.fetch(stream), []);
      await remove(stream_id);
    });
  });
}
