/** Signals that come back to where they arose. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases } from '../testing/harness.ts';
import { signalReceiver, told } from '../testing/signal-receiver.ts';
import { caep, type SignalSource, signalSource } from '../testing/signal-source.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`signals that come back, on ${database}`, () => {
    let idp: SignalSource;
    before(async () => {
      idp = await signalSource({ database, config: { signals: { signing_alg: 'ES256' } } });
    });
    after(() => idp.close());

    test('what we told ourselves does nothing when it comes back, however it comes', async () => {
      const client = await tokenClient(idp.server);
      const own = await idp.subjectOf(client.clientId);
      const send = async (txn: string, to = idp.source) => {
        const claims = { ...idp.claimsOf(`${caep}session-revoked`, own), txn };
        assert.equal((await idp.push(await idp.sign(claims), to)).status, 202);
        return (await idp.heard(claims.jti, to))[0]?.decided_on.agents.map(({ effect }) => effect);
      };
      await idp.server.admin('POST', '/revocations', { subject: client.clientId, effect: 'tokens', reason: 'once' });
      const { items } = await idp.server.admin<{ items: { id: string }[] }>(
        'GET',
        `/events?type=token.revoked&target=${client.clientId}&limit=1`,
      );
      const [first] = items;
      assert.ok(first);
      assert.deepEqual(await send(first.id), []);
      // another's happening is told on under its own name, and does something once, by whichever way it comes
      const theirs = `evt_${'0'.repeat(25)}1`;
      assert.deepEqual(await send(theirs), ['revoked']);
      assert.deepEqual(await send(theirs, await idp.made({})), ['recorded']);
      const { items: caused } = await idp.server.admin<{ items: { decided_on: { changed: { txn?: string } } }[] }>(
        'GET',
        `/events?type=token.revoked&target=${client.clientId}&limit=1`,
      );
      assert.equal(caused[0]?.decided_on.changed.txn, theirs);
      // what has no id of ours may be many things
      assert.deepEqual([await send('always-the-same'), await send('always-the-same')], [['revoked'], ['revoked']]);
    });

    const revocationsOf = async (agent: string) => {
      const target = `/events?type=token.revoked&target=${agent}&limit=200`;
      return (await idp.server.admin<{ items: { id: string; at: string }[] }>('GET', target)).items;
    };

    test('without a txn, what we told is known by the event, the subject and the second that it names', async () => {
      const { server } = idp;
      const client = await tokenClient(server);
      const own = await idp.subjectOf(client.clientId);
      await server.admin('POST', '/revocations', { subject: client.clientId, effect: 'tokens', reason: 'once' });
      const [first] = await revocationsOf(client.clientId);
      const event_timestamp = Math.floor(Date.parse(String(first?.at)) / 1000);
      const none = { txn: undefined };
      server.clock.advance(5_000);
      const back = await idp.tell(
        'session-revoked',
        own,
        { event_timestamp, reason_admin: { en: 'x' } },
        idp.source,
        none,
      );
      assert.deepEqual(await idp.outcome(back.jti), []);
      assert.match((await idp.heard(back.jti))[0]?.reason ?? '', /that was done already/);
      // what only looks like it is done
      const other = await tokenClient(server);
      for (const [type, subject, says] of [
        ['session-revoked', own, { event_timestamp: event_timestamp + 1 }],
        ['session-revoked', own, { event_timestamp: String(event_timestamp) }],
        ['session-revoked', own, {}],
        ['session-revoked', await idp.subjectOf(other.clientId), { event_timestamp }],
      ] as const) {
        const claims = await idp.tell(type, subject, says, idp.source, none);
        assert.deepEqual(await idp.outcome(claims.jti), [['revoked', 'agent']], JSON.stringify(says));
      }
      const high = { event_timestamp, current_level: 'HIGH', principal: 'USER' };
      const risk = await idp.tell('risk-level-change', own, high, idp.source, none);
      assert.deepEqual(await idp.outcome(risk.jti), [['suspended', 'agent']]);
    });

    test('who passes on what we tell, and says nothing of where it is from, is soon told no more', async () => {
      const { server } = idp;
      const client = await tokenClient(server);
      const own = await idp.subjectOf(client.clientId);
      const receiver = await signalReceiver(server);
      const stream = await receiver.stream();
      const hub = async () => {
        await told(server);
        const sets = await receiver.fetch(stream);
        const ack = sets.map(({ jti }) => jti);
        await receiver.call('POST', `/ssf/poll/${stream.stream_id}`, { returnImmediately: true, maxEvents: 0, ack });
        const about = sets.filter(({ event }) => event === 'session-revoked');
        for (const { claims } of about)
          await idp.tell('session-revoked', claims.sub_id, {}, idp.source, { txn: undefined });
        return about.length;
      };
      await server.admin('POST', '/revocations', { subject: client.clientId, effect: 'tokens', reason: 'once' });
      const passed: number[] = [];
      do passed.push(await hub());
      while (passed.at(-1) !== 0 && passed.length < 9);
      // each time it was done: nothing says that it isn't another time that it happened
      assert.ok(passed.length <= 4, `${passed}`);
      assert.equal((await revocationsOf(client.clientId)).length, passed.length);
      // and it is told again when it happens later
      server.clock.advance(120_000);
      await idp.tell('session-revoked', own, {}, idp.source, { txn: undefined });
      assert.equal(await hub(), 1);
    });
  });
}
