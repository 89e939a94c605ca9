/** Signals are pushed to receivers that are slow, hostile or away: nothing is lost, and nobody else waits. @see RFC 8935 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import {
  type PushTarget,
  pushTarget,
  type SignalReceiver,
  signalReceiver,
  testWeb,
  told,
  verified,
} from '../testing/signal-receiver.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { until } from '../testing/until.ts';

const push = 'urn:ietf:rfc:8935';

for (const database of databases) {
  describe(`signals that are pushed, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let server: TestServer;
    let receiver: SignalReceiver;
    let client: TokenClient;
    let target: PushTarget;
    const open: PushTarget[] = [];
    before(async () => {
      web = await testWeb();
      server = await startServer({
        database,
        config: { signals: { signing_alg: 'ES256' }, outbound: { ca_file: web.caFile, timeout_seconds: 5 } },
      });
      client = await tokenClient(server);
    });
    beforeEach(async () => {
      receiver = await signalReceiver(server);
      target = await newTarget();
    });
    after(async () => {
      await server.close();
      for (const one of open) await one.close();
      web.remove();
    });

    const newTarget = async () => {
      const one = await pushTarget(web);
      open.push(one);
      return one;
    };
    const streamTo = (one: PushTarget, of = receiver) =>
      of.stream({ delivery: { method: push, endpoint_url: one.url, authorization_header: 'Bearer of-the-receiver' } });
    const happen = async () => {
      await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: 'test' });
      await server.admin('POST', `/agents/${client.clientId}/resume`);
      await told(server);
    };
    const standing = (id: string) =>
      server.admin<{ waiting: number; failures: number; fault?: string; status: string }>(
        'GET',
        `/signal-streams/${id}`,
      );
    const comesTo = (id: string, holds: (stream: Awaited<ReturnType<typeof standing>>) => boolean) =>
      until(() => standing(id), holds);

    test('a signal arrives with what the receiver wants to see, in order', async () => {
      const stream = await streamTo(target);
      await happen();
      await happen();
      await target.heardAll(2);
      const [first, second] = target.heard;
      assert.deepEqual([first?.type, first?.authorization], ['application/secevent+jwt', 'Bearer of-the-receiver']);
      const sets = await Promise.all(
        [first, second].map((one) => verified(server, one?.body ?? '', stream.aud, server.clock.now())),
      );
      assert.ok((sets[0]?.claims.txn ?? '') < (sets[1]?.claims.txn ?? ''));
      await comesTo(stream.stream_id, ({ waiting }) => waiting === 0);
    });

    test('what fails is tried again, with growing pauses, and is the same', async () => {
      let answers = 0;
      target.answer = (_, response) => void response.writeHead(++answers < 4 ? 503 : 202).end();
      const stream = await streamTo(target);
      await happen();
      for (let failures = 1; failures <= 3; failures += 1) {
        const { fault } = await comesTo(stream.stream_id, (one) => one.failures === failures);
        assert.match(fault ?? '', /answered 503/);
        const pause = 1000 * 2 ** (failures - 1);
        server.clock.advance(pause - 1);
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(target.heard.length, failures, 'not before its pause is over');
        server.clock.advance(1);
        await target.heardAll(failures + 1);
      }
      await comesTo(stream.stream_id, ({ waiting, failures }) => waiting === 0 && failures === 0);
      const ids = target.heard.map(
        ({ body }) => JSON.parse(Buffer.from(body.split('.')[1] ?? '', 'base64url').toString()).jti,
      );
      assert.equal(new Set(ids).size, 1);
    });

    test('one that hangs, and one that answers nonsense, hold up nobody', async () => {
      const [hanging, hostile] = [await newTarget(), await newTarget()];
      hanging.answer = () => {};
      hostile.answer = (_, response) => void response.writeHead(302, { location: 'https://localhost:1/' }).end();
      const stuck = await streamTo(hanging);
      const odd = await streamTo(hostile);
      const good = await streamTo(target);
      await happen();
      await target.heardAll(1);
      await hanging.heardAll(1);
      await comesTo(good.stream_id, ({ waiting }) => waiting === 0);
      const { fault, waiting } = await comesTo(odd.stream_id, ({ failures }) => failures > 0);
      assert.match(fault ?? '', /redirect/);
      assert.equal(waiting, 1);
      assert.equal((await standing(stuck.stream_id)).waiting, 1);
      await hanging.close();
      open.splice(open.indexOf(hanging), 1);
      await comesTo(stuck.stream_id, ({ failures }) => failures === 1);
    });

    test('what a receiver refuses again and again is given up, and the next is told', async () => {
      const stream = await streamTo(target);
      let refused = 0;
      target.answer = (_, response) => {
        refused += 1;
        if (refused > 5) return void response.writeHead(202).end();
        response
          .writeHead(400, { 'content-type': 'application/json' })
          .end('{"err":"invalid_request","description":"no"}');
      };
      await happen();
      for (let failures = 1; failures < 5; failures += 1) {
        const { fault } = await comesTo(stream.stream_id, (one) => one.failures === failures);
        assert.match(fault ?? '', /400 invalid_request/);
        server.clock.advance(300_000);
      }
      await comesTo(stream.stream_id, ({ waiting }) => waiting === 0);
      await happen();
      await target.heardAll(6);
    });

    test('too much for a receiver that is away ends its stream, which it is told', async () => {
      target.answer = (_, response) => void response.writeHead(503).end();
      const small = await startServer({
        database,
        config: { signals: { signing_alg: 'ES256', held: 3 }, outbound: { ca_file: web.caFile } },
      });
      try {
        const theirs = await signalReceiver(small);
        const stream = await theirs.stream({ delivery: { method: push, endpoint_url: target.url } });
        const agent = await tokenClient(small);
        for (let n = 0; n < 4; n += 1) {
          await small.admin('POST', `/agents/${agent.clientId}/suspend`, { reason: 'x' });
          await small.admin('POST', `/agents/${agent.clientId}/resume`);
        }
        await told(small);
        const { status, waiting } = await small.admin<{ status: string; waiting: number }>(
          'GET',
          `/signal-streams/${stream.stream_id}`,
        );
        assert.deepEqual([status, waiting], ['disabled', 1]);
        target.answer = (_, response) => void response.writeHead(202).end();
        const before = target.heard.length;
        small.clock.advance(400_000);
        await target.heardAll(before + 1);
        const last = await verified(small, target.heard.at(-1)?.body ?? '', stream.aud, small.clock.now());
        assert.deepEqual([last.event, last.says.status], ['stream-updated', 'disabled']);
      } finally {
        await small.close();
      }
    });
  });
}
