/** Two nodes on one database: each SET is pushed by one of them, and each source asked by one. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { json } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';

import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { pushTarget, signalReceiver, testWeb, told, verified } from '../testing/signal-receiver.ts';
import { audience, caep, issuer, providerFor } from '../testing/signal-source.ts';
import { tokenClient } from '../testing/token-client.ts';
import { until } from '../testing/until.ts';

for (const database of databases) {
  describe(`signals of two nodes, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let one: TestServer;
    let other: TestServer;
    before(async () => {
      web = await testWeb();
      const config = { signals: { signing_alg: 'ES256' as const }, outbound: { ca_file: web.caFile } };
      one = await startServer({ database, config });
      other = await startServer({ joins: one, config });
    });
    after(async () => {
      await other.close();
      await one.close();
      web.remove();
    });

    test('each SET is pushed once, in order, by whichever', async (t) => {
      const target = await pushTarget(web);
      t.after(() => target.close());
      const client = await tokenClient(one);
      const streams = new Map<string, string>();
      for (let i = 0; i < 4; i++) {
        const receiver = await signalReceiver(one);
        const { aud } = await receiver.stream({
          delivery: { method: 'urn:ietf:rfc:8935', endpoint_url: `${target.url}/${i}` },
          events_requested: [`${caep}session-revoked`],
        });
        streams.set(`/signals/${i}`, aud);
      }
      for (let i = 0; i < 5; i++) {
        await one.admin('POST', '/revocations', { subject: client.clientId, effect: 'tokens', reason: 'test' });
        await told(one);
        await other.deps.consumers.settled();
      }
      await target.heardAll(20);
      const waiting = () => one.deps.db.all<{ jti: string }>('select jti from signal_sets');
      await until(waiting, (sets) => sets.length === 0);
      assert.equal(target.heard.length, 20);
      const txns = new Map<string, string[]>();
      for (const { url, body } of target.heard) {
        const { claims } = await verified(one, body, streams.get(url) as string, one.clock.now());
        txns.set(url, [...(txns.get(url) ?? []), claims.txn]);
      }
      const [first] = txns.values();
      assert.deepEqual([...txns.values()], Array(4).fill([...(first ?? [])].sort()), 'each of them, in its order');
    });

    test('a source is asked by one at a time, and by the other once that one is gone', async (t) => {
      const idp = await providerFor(one, web);
      t.after(() => idp.close());
      const sockets = new Set<Socket>();
      // as any transmitter: what was not acknowledged is sent again, and who asks while there is nothing waits
      const pending = new Map<string, string>();
      const hanging = new Set<ServerResponse>();
      let atOnce = 0;
      const answer = () => {
        for (const response of pending.size > 0 ? [...hanging] : []) {
          hanging.delete(response);
          const sets = Object.fromEntries(pending);
          response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ sets }));
        }
      };
      const polled = createServer({ cert: web.cert, key: web.key }, async (request, response) => {
        hanging.add(response);
        atOnce = Math.max(atOnce, hanging.size);
        response.once('close', () => hanging.delete(response));
        const { ack } = (await json(request)) as { ack: string[] };
        for (const jti of ack) pending.delete(jti);
        answer();
      });
      polled.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.on('error', () => {});
      });
      await new Promise<void>((resolve) => polled.listen(0, '127.0.0.1', resolve));
      t.after(() => {
        for (const socket of sockets) socket.destroy();
        polled.close();
      });
      const url = `https://localhost:${(polled.address() as AddressInfo).port}/poll`;
      const source = await one.admin<{ id: string }>('POST', '/signal-sources', {
        name: 'asked',
        issuer,
        jwks_uri: idp.jwksUri,
        audience: [audience],
        poll: { url, authorization: 'Bearer x' },
      });
      const sent: string[] = [];
      const send = async () => {
        const claims = idp.claimsOf(`${caep}session-revoked`, { format: 'opaque', id: 'x' });
        sent.push(claims.jti as string);
        pending.set(claims.jti as string, await idp.sign(claims));
        answer();
        await until(
          () => pending.size,
          (count) => count === 0,
        );
      };
      for (let i = 0; i < 4; i++) await send();
      assert.equal(atOnce, 1);
      await other.close(); // whether or not it was the one
      await send();
      other = await startServer({ joins: one, config: { outbound: { ca_file: web.caFile } } });
      await send();
      const taken = async () => {
        const { items } = await one.admin<{ items: { decided_on: { set: string } }[] }>(
          'GET',
          `/events?type=signal.received&target=${source.id}`,
        );
        return items.map(({ decided_on }) => decided_on.set).toReversed();
      };
      assert.deepEqual(await taken(), sent);
      await one.admin('DELETE', `/signal-sources/${source.id}`);
    });
  });
}
