/** Servers that are killed in the middle: what was to be told is told, and what was heard is done once. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases } from '../testing/harness.ts';
import { killableServer } from '../testing/killed.ts';
import { pushTarget, signalReceiver, testWeb, verified } from '../testing/signal-receiver.ts';
import { caep, providerFor } from '../testing/signal-source.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`signals and a server that is killed, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    before(async () => {
      web = await testWeb();
    });
    after(() => web.remove());
    const config = () => ({
      signals: { signing_alg: 'ES256' as const },
      // a stream is held a little longer than an answer may take
      outbound: { ca_file: web.caFile, timeout_seconds: 1 },
    });

    test('it is killed while it pushes: nothing is lost, and what comes twice is the same', async (t) => {
      const { server, kill, startAgain } = await killableServer(t, database, config());
      const target = await pushTarget(web);
      t.after(() => target.close());
      const client = await tokenClient(server);
      const receiver = await signalReceiver(server);
      const { aud, stream_id } = await receiver.stream({
        delivery: { method: 'urn:ietf:rfc:8935', endpoint_url: target.url },
        events_requested: [`${caep}session-revoked`],
      });
      const becomes = (status: string) => receiver.call('POST', '/ssf/status', { stream_id, status });
      const order = () =>
        server.admin('POST', '/revocations', { subject: client.clientId, effect: 'tokens', reason: 'test' });
      await becomes('paused');
      for (let i = 0; i < 5; i++) await order();
      // the third is taken, and the server hears nothing of it any more
      const cut = new Promise<void>((resolve) => {
        const { answer } = target;
        target.answer = (pushed, response) => {
          if (target.heard.length < 3) return answer(pushed, response);
          target.answer = answer;
          resolve(kill());
        };
      });
      await becomes('enabled');
      await cut;
      await startAgain();
      await order();
      await target.heardAll(7);
      const sets = await Promise.all(target.heard.map(({ body }) => verified(server, body, aud, Date.now())));
      const jtis = sets.map(({ jti }) => jti);
      assert.equal(new Set(jtis).size, 6);
      assert.equal(jtis[3], jtis[2], 'what was not said to be taken comes again');
      assert.deepEqual(sets[3]?.claims, sets[2]?.claims);
      const { items } = await server.admin<{ items: { id: string }[] }>(
        'GET',
        `/events?type=token.revoked&target=${client.clientId}`,
      );
      const happened = items.map(({ id }) => id).toReversed();
      assert.deepEqual(
        [...new Set(sets.map(({ claims }) => claims.txn))],
        happened,
        'in the order in which it happened',
      );
    });

    test('it is killed while it does what it heard: that is done once, and the rest when it comes again', async (t) => {
      const { server, kill, startAgain } = await killableServer(t, database, config());
      const idp = await providerFor(server, web);
      t.after(() => idp.close());
      const email = 'ada@example.com';
      const { id: owner } = await server.admin<{ id: string }>('POST', '/people', { name: 'Ada', email });
      const agents = await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          const body = { name: `of-ada-${i}`, kind: 'workload', owner };
          return (await server.admin<{ id: string }>('POST', '/agents', body)).id;
        }),
      );
      const revoked = async () => {
        const { items } = await server.admin<{ items: { target: string }[] }>(
          'GET',
          '/events?type=token.revoked&limit=200',
        );
        return items.map(({ target }) => target);
      };
      const set = await idp.sign(idp.claimsOf(`${caep}session-revoked`, { format: 'email', email }));
      const cut = idp.push(set).then(
        () => assert.fail('it was answered before the server was killed'),
        () => undefined,
      );
      let done: string[] = [];
      while (done.length === 0) done = await revoked();
      await kill();
      await cut;
      await startAgain();
      done = await revoked();
      assert.ok(done.length > 0 && done.length < agents.length, `the end came in between: ${done.length}`);
      assert.equal((await idp.push(set)).status, 202);
      assert.equal((await idp.push(set)).status, 202);
      assert.deepEqual((await revoked()).sort(), agents.sort(), 'each of them once');
      const { items } = await server.admin<{ items: { decided_on: { agents: { effect: string }[] } }[] }>(
        'GET',
        '/events?type=signal.received',
      );
      assert.deepEqual(
        items.map(({ decided_on }) => decided_on.agents.map(({ effect }) => effect)),
        [Array(agents.length).fill('revoked')],
        'and one event tells all of it',
      );
    });
  });
}
