/** What running copies of an agent pass on lasts no longer than they do. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { actorsOf } from '@bailiwick/protocol';
import { type Delegate, type Delegates, delegates, type ShownMandate } from '../testing/delegates.ts';
import { exchanged, exchangeOf } from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import type { TestInstance } from '../testing/instance-client.ts';

for (const database of databases) {
  describe(`mandates of instances, on ${database}`, () => {
    let server: TestServer;
    let scene: Delegates;
    let holder: Delegate;
    let receiver: Delegate;
    let third: Delegate;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await delegates(server, 3);
      [holder, receiver, third] = scene.agents as [Delegate, Delegate, Delegate];
    });
    after(() => server.close());

    /** An instance, and the id of the token that it was enrolled with. */
    async function enrolled(): Promise<TestInstance & { credential: string }> {
      const { id: credential, secret } = await holder.instances.token();
      const { signer, send } = await holder.instances.prepared({ token: secret });
      const { status, body } = await send();
      assert.equal(status, 201, JSON.stringify(body));
      return { id: String(body.instance), signer, answer: {}, credential };
    }

    /** A mandate for an instance alone, and what it passed on of it. */
    async function passedOn() {
      const copy = await enrolled();
      const held = await scene.give(holder, { instance: copy.id });
      return { copy, held, below: await holder.pass(held.id, { agent: receiver.id }, copy) };
    }

    async function assertStopped(ids: readonly string[], by: string, last = receiver) {
      for (const id of ids) {
        const { status, stopped_by } = await server.admin<Record<string, unknown>>('GET', `/mandates/${id}`);
        assert.deepEqual({ status, stopped_by }, { status: 'stopped', stopped_by: by });
      }
      const reply = await last.client.send(exchangeOf(ids.at(-1) as string));
      assert.deepEqual([reply.status, reply.body.error], [400, 'invalid_request']);
      assert.match(String(reply.body.error_description), new RegExp(`rests on ${by}`));
    }

    test('a suspension ended the instance for good, though its agent was resumed', async () => {
      const { copy, held, below } = await passedOn();
      await exchanged(receiver.client, below.id);
      await server.admin('POST', `/agents/${holder.id}/suspend`, { reason: 'test' });
      await server.admin('POST', `/agents/${holder.id}/resume`);
      await assertStopped([held.id, below.id], copy.id);
    });

    test('it ends with what the instance was enrolled with, and so do tokens', async () => {
      const { copy, held, below } = await passedOn();
      const { token } = await exchanged(receiver.client, below.id);
      await server.admin('DELETE', `/credentials/${copy.credential}`);
      assert.equal((await receiver.instances.introspect(token)).active, false);
      await assertStopped([held.id, below.id], copy.id);
    });

    test('it ends with the time of the instance', async () => {
      const { copy, held, below } = await passedOn();
      const { expires_at } = await server.admin<{ expires_at: string }>('GET', `/instances/${copy.id}`);
      server.clock.advance(Date.parse(expires_at) - server.clock.now());
      await assertStopped([held.id, below.id], copy.id);
    });

    test('no token outlives the instance that passed it on, nor an agent above', async () => {
      const { copy, below } = await passedOn();
      const { expires_at } = await server.admin<{ expires_at: string }>('GET', `/instances/${copy.id}`);
      server.clock.advance(Date.parse(expires_at) - server.clock.now() - 20_000);
      const { body } = await exchanged(receiver.client, below.id);
      assert.equal(body.expires_in, 20);
      const shortened = (body.narrowed as { what: string }[]).filter(({ what }) => what === 'lifetime');
      assert.deepEqual(shortened, [{ what: 'lifetime', by: `mandate ${below.id}` }]);

      const first = await scene.give(third);
      const { id } = await third.pass(first.id, { agent: receiver.id });
      const expiring = new Date(server.clock.now() + 15_000).toISOString();
      await server.admin('PATCH', `/agents/${third.id}`, { expires_at: expiring });
      assert.equal((await exchanged(receiver.client, id)).body.expires_in, 15);
    });

    test('where every copy may use a mandate, the one that passed it on stands in the chain, and ends what came of it', async () => {
      const copy = await enrolled();
      const child = await holder.instances.child(copy);
      assert.equal(child.status, 201);
      const held = await scene.give(holder);
      const below = await holder.pass(held.id, { agent: receiver.id, passing: { depth: 1 } }, child);
      assert.deepEqual(below.given, { way: 'passed_on', by: holder.id, instance: child.id });
      const further = await receiver.pass(below.id, { agent: third.id });
      const { claims, token } = await exchanged(third.client, further.id);
      const subjectOf = async ({ id }: Delegate) =>
        (await server.admin<{ subject: string }>('GET', `/agents/${id}`)).subject;
      const earlier = actorsOf(claims.act).map(({ sub }) => sub);
      assert.deepEqual(earlier.slice(1), [await subjectOf(receiver), `${await subjectOf(holder)}/${child.id}`]);

      await server.admin('DELETE', `/credentials/${copy.credential}`);
      assert.equal((await third.instances.introspect(token)).active, false);
      await assertStopped([below.id, further.id], child.id, third);
      const { status } = await server.admin<ShownMandate>('GET', `/mandates/${held.id}`);
      assert.equal(status, 'active', 'what it passed a part of is not its own');
    });

    test('whoever is bound to a place passes nothing on beyond it', async () => {
      const { agents, give } = await delegates(server, 2);
      const [agent, to] = agents as [Delegate, Delegate];
      const held = await give(agent);
      const places = { context: { ip: ['127.0.0.0/8', '::1'] } };
      await server.admin('PATCH', `/agents/${agent.id}`, { ...places, instances: { bind: ['address'] } });
      const below = await agent.pass(held.id, { agent: to.id });
      assert.deepEqual(below.context, places.context);
      const copy = await agent.instances.instance();
      const nearer = await agent.pass(held.id, { agent: to.id }, copy);
      const { ip } = nearer.context as { ip: string[] };
      assert.ok(ip.length === 1 && /^(127\.0\.0\.1|::1)/.test(String(ip[0])), String(ip));
      for (const [by, name] of [
        [agent.client, 'the registration of this agent'],
        [copy, `instance ${copy.id}`],
      ] as const) {
        const wanted = {
          parent: held.id,
          agent: to.id,
          context: { ip: [by === copy ? '127.0.0.0/8' : '0.0.0.0/0'] },
        };
        const reply = await agent.call('POST', '/mandates', wanted, { by });
        assert.equal(reply.status, 422, reply.text);
        assert.match(reply.body.detail, new RegExp(`context.ip is more than ${name} allows`));
      }
    });

    test('an idempotency key is of one copy alone', async () => {
      const { copy, held } = await passedOn();
      const other = await enrolled();
      const ask = (by: TestInstance) =>
        holder.call(
          'POST',
          '/mandates',
          { parent: held.id, agent: receiver.id },
          { by, headers: { 'idempotency-key': 'once' } },
        );
      const [first, second] = [await ask(copy), await ask(other)];
      assert.deepEqual([first.status, second.status], [201, 422], second.text);
      assert.equal((await ask(copy)).body.id, first.body.id);
    });

    test('nothing is passed on of it any more', async () => {
      const { copy, below } = await passedOn();
      await server.admin('DELETE', `/credentials/${copy.credential}`);
      const reply = await receiver.call('POST', '/mandates', { parent: below.id, agent: holder.id });
      assert.equal(reply.status, 422, reply.text);
      assert.match(reply.text, new RegExp(`${copy.id} is stopped or over`));
    });
  });
}
