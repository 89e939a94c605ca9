/** What is passed on while something else happens, and how often it may be. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newId } from '../lib/ids.ts';
import { findMandate, insertMandate } from '../mandates/store.ts';
import { type Delegate, type Delegates, delegates } from '../testing/delegates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { callerOf } from '../web/caller.ts';
import { proofMemory } from '../web/own-api.ts';
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
    async function identified() {
      const { issuer, deps } = server;
      const { body } = await a.instances.tokenOf({ id: '', ...a.client }, { resource: issuer, scope: 'mandates:pass' });
      const url = `${issuer}/mandates`;
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
