/** What is passed on, or asked for and granted, while something else happens; and how often it may be. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newId } from '../lib/ids.ts';
import { findMandate, insertMandate } from '../mandates/store.ts';
import { type Delegate, type Delegates, delegates } from '../testing/delegates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { callerOf } from '../web/caller.ts';
import { proofMemory } from '../web/own-api.ts';
import { grantRequest } from './grant.ts';
import { passOn } from './pass-on.ts';

for (const database of databases) {
  describe(`mandates that are passed on at once with something else, on ${database}`, () => {
    let server: TestServer;
    let scene: Delegates;
    let a: Delegate;
    let b: Delegate;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await delegates(server, 2);
      [a, b] = scene.agents as [Delegate, Delegate];
    });
    after(() => server.close());

    /** Somebody who was identified, and whose request is worked on only later. */
    async function identified(path = '/mandates') {
      const { issuer, deps } = server;
      const { body } = await a.instances.tokenOf({ id: '', ...a.client }, { resource: issuer, scope: 'mandates:pass' });
      const url = issuer + path;
      return callerOf(
        deps,
        proofMemory(deps),
        { api: 'service', resource: issuer },
        {
          method: 'POST',
          url,
          authorization: `DPoP ${body.access_token}`,
          dpop: await a.instances.proofBy(a.client.signer, 'POST', url, { accessToken: body.access_token }),
          address: '127.0.0.1',
        },
      );
    }

    test('what it rests on was ended or stopped since it was asked for: nothing is passed on', async () => {
      const mandate = (await scene.give(a)).id;
      const wanted = { body: { parent: mandate, agent: b.id }, once: undefined };
      const [before, later] = [await identified(), await identified()];
      assert.equal((await passOn(server.deps, later, wanted)).status, 201);
      await server.admin('POST', `/agents/${b.id}/suspend`, { reason: 'test' });
      await server.admin('POST', `/agents/${b.id}/resume`);
      await assert.rejects(passOn(server.deps, before, wanted), {
        kind: 'conflict',
        message: /changed meanwhile: ask again/,
      });
      const { body } = await a.call('GET', `/mandates?parent=${mandate}`);
      assert.equal(body.items.length, 1);
    });

    const asked = async (parent: string): Promise<string> => {
      const resources = [{ resource: scene.api.identifier, scope: 'read' }];
      const reply = await b.call('POST', '/mandates/requests', { from: a.id, parent, resources });
      assert.equal(reply.status, 201, reply.text);
      return reply.body.id;
    };
    const passedOnFrom = async (mandate: string) => (await a.call('GET', `/mandates?parent=${mandate}`)).body.items;

    test('granted ten times at once, a request comes to one mandate', async () => {
      const { id: mandate } = await scene.give(a);
      const id = await asked(mandate);
      const grants = Array.from({ length: 10 }, () => a.call('POST', `/mandates/requests/${id}/grant`));
      const statuses = (await Promise.all(grants)).map(({ status }) => status);
      assert.deepEqual(statuses.toSorted(), [201, ...Array.from({ length: 9 }, () => 409)]);
      assert.equal((await passedOnFrom(mandate)).length, 1);
    });

    test('granted, refused and withdrawn at once, one of these holds, and there is a mandate only if it was granted', async () => {
      const { id: mandate } = await scene.give(a);
      let granted = 0;
      for (let round = 0; round < 8; round++) {
        const id = await asked(mandate);
        const path = `/mandates/requests/${id}`;
        const withdrawn = () => b.call('DELETE', path);
        const answers = [() => a.call('POST', `${path}/grant`), () => a.call('POST', `${path}/refuse`), withdrawn];
        const order = round % 2 === 0 ? answers : answers.toReversed();
        const replies = await Promise.all(order.map((send) => send()));
        const { status, mandate: given } = (await b.call('GET', path)).body;
        assert.equal(given !== undefined, status === 'granted');
        assert.equal(replies.filter((reply) => reply.status === 201).length, status === 'granted' ? 1 : 0);
        assert.equal(replies.filter((reply) => reply.status === 200).length, status === 'refused' ? 1 : 0);
        granted += status === 'granted' ? 1 : 0;
      }
      assert.equal((await passedOnFrom(mandate)).length, granted);
    });

    test('the mandate of whoever grants ends, or who asks is stopped, while it is granted: nothing is', async () => {
      for (const stop of [
        (mandate: string) => server.admin('POST', `/mandates/${mandate}/end`, {}),
        async () => {
          await server.admin('POST', `/agents/${b.id}/suspend`, { reason: 'test' });
          await server.admin('POST', `/agents/${b.id}/resume`);
        },
      ]) {
        const { id: mandate } = await scene.give(a);
        const id = await asked(mandate);
        const caller = await identified(`/mandates/requests/${id}/grant`);
        const { deps } = server;
        const settle: typeof deps.db.settle = async (...args) => {
          await stop(mandate); // it was planned, and isn't written yet
          return deps.db.settle(...args);
        };
        const granting = grantRequest({ ...deps, db: { ...deps.db, settle } }, caller, id, {
          body: {},
          once: undefined,
        });
        await assert.rejects(granting, { kind: 'conflict', message: /changed meanwhile/ });
        server.clock.advance(601_000); // the tokens of whoever was stopped are dead: others are got
        const { items } = await server.admin<{ items: unknown[] }>('GET', `/mandates?parent=${mandate}`);
        assert.deepEqual(items, []);
      }
    });

    test('one that was passed on a thousand times is passed on no more, until one of these is over', async () => {
      const mandate = (await scene.give(a)).id;
      const { id: last } = await a.pass(mandate, { agent: b.id });
      const model = await findMandate(server.deps.db, last);
      assert.ok(model);
      await server.deps.db.transaction(async (tx) => {
        for (let n = 0; n < 999; n++) {
          await insertMandate(tx, { ...model, id: newId(server.deps, 'mandate') });
        }
      });
      const full = await a.call('POST', '/mandates', { parent: mandate, agent: b.id });
      assert.deepEqual([full.status, full.body.errors[0].field], [409, 'parent'], full.text);
      await a.call('DELETE', `/mandates/${last}`);
      await a.pass(mandate, { agent: b.id });
      assert.equal((await a.call('POST', '/mandates', { parent: mandate, agent: b.id })).status, 409);
    });
  });
}
