/** Who may be told no more isn't: receivers that are suspended, narrowed or retired, persons that are erased, a server that ends. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { signalsTopic } from '../ssf/transmit.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import {
  type PushTarget,
  pushTarget,
  roleOf,
  type SignalReceiver,
  signalReceiver,
  testWeb,
  told,
} from '../testing/signal-receiver.ts';
import { tokenClient } from '../testing/token-client.ts';
import { until } from '../testing/until.ts';

const push = 'urn:ietf:rfc:8935';
const jtiOf = ({ body }: { body: string }): string =>
  JSON.parse(Buffer.from(body.split('.')[1] ?? '', 'base64url').toString()).jti;

for (const database of databases) {
  describe(`receivers that may be told no more, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let server: TestServer;
    let target: PushTarget;
    const open: PushTarget[] = [];
    before(async () => {
      web = await testWeb();
      server = await startServer({
        database,
        config: { signals: { signing_alg: 'ES256' }, outbound: { ca_file: web.caFile } },
      });
    });
    beforeEach(async () => {
      target = await pushTarget(web);
      open.push(target);
    });
    after(async () => {
      await server.close();
      for (const one of open) await one.close();
      web.remove();
    });

    interface Standing {
      waiting: number;
      failures: number;
      fault?: string;
    }
    const standing = (id: string, of = server) => of.admin<Standing>('GET', `/signal-streams/${id}`);
    const comesTo = (id: string, holds: (stream: Standing) => boolean, of = server) =>
      until(() => standing(id, of), holds);
    const streamOf = (receiver: SignalReceiver, to = target) =>
      receiver.stream({ delivery: { method: push, endpoint_url: to.url } });
    /** Something of the receiver's organization that is told. */
    const happen = async (organization?: string) => {
      const at = organization === undefined ? '' : `?organization=${organization}`;
      const { id: owner } = await server.admin('POST', `/teams${at}`, { name: `t-${randomUUID().slice(0, 8)}` });
      const agent = { name: `a-${randomUUID().slice(0, 8)}`, kind: 'workload', owner };
      const { id } = await server.admin('POST', `/agents${at}`, agent);
      await server.admin('POST', `/agents/${id}/suspend`, { reason: 'test' });
      await told(server);
    };

    test('a suspended receiver is told nothing; resumed, what happened meanwhile', async () => {
      const receiver = await signalReceiver(server);
      const { stream_id: id } = await streamOf(receiver);
      await server.admin('POST', `/agents/${receiver.clientId}/suspend`, { reason: 'test' });
      await happen();
      const { failures, waiting } = await comesTo(id, ({ fault }) => fault === 'its receiver is suspended');
      assert.deepEqual([failures, waiting > 0, target.heard.length], [0, true, 0]);
      server.clock.advance(31_000);
      await comesTo(id, ({ fault }) => fault === 'its receiver is suspended');
      assert.equal(target.heard.length, 0);
      await server.admin('POST', `/agents/${receiver.clientId}/resume`);
      server.clock.advance(31_000);
      await target.heardAll(waiting);
      await comesTo(id, (one) => one.waiting === 0 && one.fault === undefined);
    });

    for (const [what, stop, resume, why] of [
      [
        'whose role was taken away',
        async ({ clientId }: SignalReceiver) =>
          server.admin('DELETE', `/agents/${clientId}/roles/${await roleOf(server, 'signal-receiver')}`),
        async ({ clientId }: SignalReceiver) =>
          server.admin('PUT', `/agents/${clientId}/roles/${await roleOf(server, 'signal-receiver')}`),
        /no role of its receiver/,
      ],
      [
        'that is not registered for the API any more',
        ({ clientId }: SignalReceiver) => server.admin('PATCH', `/agents/${clientId}`, { resources: [] }),
        ({ clientId }: SignalReceiver) =>
          server.admin('PATCH', `/agents/${clientId}`, {
            resources: [{ resource: server.issuer, default: true, scope: ['ssf.read'] }],
          }),
        /not registered/,
      ],
    ] as const) {
      test(`nor is one ${what}`, async () => {
        const receiver = await signalReceiver(server);
        const { stream_id: id } = await streamOf(receiver);
        await stop(receiver);
        await happen();
        await comesTo(id, ({ fault }) => why.test(fault ?? ''));
        assert.equal(target.heard.length, 0);
        await resume(receiver);
        server.clock.advance(31_000);
        await target.heardAll(1);
        await comesTo(id, ({ waiting }) => waiting === 0);
        assert.equal(new Set(target.heard.map(jtiOf)).size, target.heard.length);
      });
    }

    test('nor is one of an organization that is suspended', async () => {
      const { id: organization } = await server.admin<{ id: string }>('POST', '/organizations', {
        name: `o-${randomUUID().slice(0, 8)}`,
      });
      const receiver = await signalReceiver(server, { organization });
      const { stream_id: id } = await streamOf(receiver);
      await server.admin('POST', `/organizations/${organization}/suspend`, { reason: 'test' });
      await told(server);
      await comesTo(id, ({ fault }) => /organization of its receiver is suspended/.test(fault ?? ''));
      assert.equal(target.heard.length, 0);
      await server.admin('POST', `/organizations/${organization}/resume`);
      server.clock.advance(31_000);
      await target.heardAll(1);
    });

    test('a push that fails is not tried again once its receiver is suspended', async () => {
      target.answer = (_, response) => void response.writeHead(503).end();
      const receiver = await signalReceiver(server);
      const { stream_id: id } = await streamOf(receiver);
      await happen();
      await comesTo(id, ({ failures }) => failures === 1);
      await server.admin('POST', `/agents/${receiver.clientId}/suspend`, { reason: 'test' });
      const before = target.heard.length;
      server.clock.advance(5_000);
      await comesTo(id, ({ fault }) => fault === 'its receiver is suspended');
      assert.equal(target.heard.length, before);
    });

    test('the streams of one that is retired go, with all that waits in them, pushed or fetched', async () => {
      target.answer = (_, response) => void response.writeHead(503).end();
      const receiver = await signalReceiver(server);
      const pushed = await streamOf(receiver);
      const fetched = await receiver.stream();
      await happen();
      assert.ok((await standing(fetched.stream_id)).waiting > 0);
      await server.admin('POST', `/agents/${receiver.clientId}/retire`, { reason: 'test' });
      await told(server);
      for (const { stream_id: id } of [pushed, fetched]) {
        await assert.rejects(standing(id), /404/);
        const { items } = await server.admin<{ items: { reason: string; decided_on: object }[] }>(
          'GET',
          `/events?target=${id}&limit=1`,
        );
        assert.equal(items[0]?.reason, 'its receiver was retired');
        for (const table of ['signal_sets', 'signal_subjects']) {
          assert.deepEqual(await server.deps.db.all(`select * from ${table} where stream = ?`, [id]), []);
        }
        assert.deepEqual(await server.deps.db.all('select * from signal_secrets where id = ?', [id]), []);
      }
      const before = target.heard.length; // one may have been on its way when it was retired
      server.clock.advance(400_000);
      assert.equal(target.heard.length, before);
    });

    test('a question that waits is not answered to whoever was suspended meanwhile', async () => {
      const receiver = await signalReceiver(server);
      const stream = await receiver.stream();
      await told(server);
      await receiver.fetch(stream); // its token and the stream are there
      const listening = new Promise<void>((resolve) => {
        const { db } = server.deps;
        const listen = db.listen.bind(db);
        db.listen = (topic, hear) => {
          if (topic === signalsTopic) resolve();
          return listen(topic, hear);
        };
      });
      const waiting = receiver.call('POST', `/ssf/poll/${stream.stream_id}`, { returnImmediately: false });
      await listening;
      await server.admin('POST', `/agents/${receiver.clientId}/suspend`, { reason: 'test' });
      await told(server);
      const { status, body } = await waiting;
      assert.equal(status, 401, JSON.stringify(body));
    });

    test('what can not be signed is a failure like any other: it is tried again soon, and waits', async () => {
      const keyless = await startServer({ database, config: { outbound: { ca_file: web.caFile } } }); // RS256, and no such key
      try {
        const receiver = await signalReceiver(keyless);
        const { stream_id: id } = await streamOf(receiver);
        assert.equal((await receiver.call('POST', '/ssf/verification', { stream_id: id })).status, 204);
        const { fault } = await comesTo(id, ({ failures }) => failures === 1, keyless);
        assert.match(fault ?? '', /went wrong here/);
        keyless.clock.advance(1_000);
        await comesTo(id, ({ failures, waiting }) => failures === 2 && waiting === 1, keyless);
        assert.equal(target.heard.length, 0);
      } finally {
        await keyless.close();
      }
    });

    test('who waits for news does not hold up the end of the server', async () => {
      const ending = await startServer({
        database,
        config: { signals: { signing_alg: 'ES256' }, shutdown_grace_seconds: 60 },
      });
      const receiver = await signalReceiver(ending);
      const stream = await receiver.stream();
      const listening = new Promise<void>((resolve) => {
        const { db } = ending.deps;
        const listen = db.listen.bind(db);
        db.listen = (topic, hear) => {
          if (topic === signalsTopic) resolve();
          return listen(topic, hear);
        };
      });
      const waiting = receiver.call('POST', `/ssf/poll/${stream.stream_id}`, { returnImmediately: false });
      await listening;
      const began = performance.now();
      await ending.close();
      assert.ok(performance.now() - began < 20_000, 'it waited for a question');
      assert.deepEqual(await waiting.then(({ status, body }) => [status, body]), [200, { sets: {} }]);
    });

    test('nothing of a person stays in what waits, what receivers listed, and what others told us', async () => {
      const name = `Ada ${randomUUID()}`;
      const email = `${randomUUID()}@example.com`;
      const { id: person } = await server.admin<{ id: string }>('POST', '/people', { name, email });
      const client = await tokenClient(server, { agent: { owner: person } });
      const receiver = await signalReceiver(server);
      const { stream_id } = await receiver.stream();
      const plain = { format: 'email', email };
      const encoded = email.replace('@', '%40');
      const account = (uri: string) => ({ format: 'account', uri });
      const list = async (of: SignalReceiver, stream_id: string, subjects: readonly object[]) => {
        for (const subject of subjects) {
          assert.equal((await of.call('POST', '/ssf/subjects/remove', { stream_id, subject })).status, 204);
        }
      };
      await list(receiver, stream_id, [
        plain,
        { format: 'email', email: email.toUpperCase() },
        account(`acct:${email}`),
        account(`acct:${encoded}`),
        account(`acct:${encoded}@idp.example`),
        { format: 'uri', uri: `mailto:${email}?subject=x` },
        { format: 'complex', user: plain },
        { format: 'aliases', identifiers: [plain] },
      ]);
      // others', though theirs is part of them; and another organization's list is not ours to empty
      const others = [{ format: 'email', email: `x-${email}` }, account(`acct:${email}.example`)];
      await list(receiver, stream_id, others);
      const { id: organization } = await server.admin<{ id: string }>('POST', '/organizations', {
        name: `o-${randomUUID().slice(0, 8)}`,
      });
      const elsewhere = await signalReceiver(server, { organization });
      const { stream_id: theirs } = await elsewhere.stream();
      await list(elsewhere, theirs, [plain]);
      // an address that they had before
      const changing = await server.admin<{ id: string }>('POST', '/people', { name, email: `old-${email}` });
      await list(receiver, stream_id, [{ format: 'email', email: `old-${email}` }]);
      await server.admin('PATCH', `/people/${changing.id}`, { email: `new-${email}` });
      await server.admin('POST', `/agents/${client.clientId}/suspend`, { reason: name });
      await server.admin('POST', `/agents/${client.clientId}/retire`, { reason: name });
      await told(server);
      await server.admin('DELETE', `/people/${person}`);
      await told(server);
      const waiting = await server.deps.db.all<{ claims: string }>('select claims from signal_sets where stream = ?', [
        stream_id,
      ]);
      assert.ok(waiting.length > 0);
      assert.equal(JSON.stringify(waiting).includes(name) || JSON.stringify(waiting).includes(email), false);
      const listed = async (id: string) => {
        const rows = await server.deps.db.all<{ subject: string }>(
          'select subject from signal_subjects where stream = ?',
          [id],
        );
        return rows.map(({ subject }) => subject).sort();
      };
      assert.deepEqual(await listed(stream_id), others.map((one) => JSON.stringify(one)).sort());
      assert.deepEqual(await listed(theirs), [JSON.stringify(plain)]);
    });
  });
}
