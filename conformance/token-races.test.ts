/** What is of a single use is used once, however many ask at the same moment. On both databases. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freshIds, makeRequest } from './craft.ts';
import { type Reply, send } from './send.ts';
import { databases, openWorld, type World } from './world.ts';

const atOnce = 50;

for (const database of databases) {
  describe(`at the same moment, on ${database}`, () => {
    let world: World;
    before(async () => {
      world = await openWorld(database);
    });
    after(() => world.close());

    test('fifty identical requests: one gets a token', async () => {
      const scene = await world.scene();
      const request = makeRequest(scene);
      const replies = await all(() => send(scene.tokenEndpoint, request));
      assertOne(replies, [401, 'invalid_client']);
    });

    test('one assertion with fifty proofs: one gets a token', async () => {
      const scene = await world.scene();
      const { assertion } = freshIds();
      const replies = await all((n) =>
        send(scene.tokenEndpoint, makeRequest(scene, {}, { assertion, proof: `${assertion}-${n}` })),
      );
      assertOne(replies, [401, 'invalid_client']);
    });

    test('one proof with fifty assertions: one gets a token', async () => {
      const scene = await world.scene();
      const { proof } = freshIds();
      const replies = await all((n) =>
        send(scene.tokenEndpoint, makeRequest(scene, {}, { assertion: `${proof}-${n}`, proof })),
      );
      assertOne(replies, [400, 'invalid_dpop_proof']);
    });

    test('one assertion for a bearer token, fifty times: one gets a token', async () => {
      const scene = await world.scene();
      const request = makeRequest(scene, { proof: 'none', form: { resource: world.resources.open } });
      assertOne(await all(() => send(scene.tokenEndpoint, request)), [401, 'invalid_client']);
    });

    test('one assertion for fifty refusals: one is refused for what it asks, and the rest for the replay', async () => {
      const scene = await world.scene();
      const { assertion } = freshIds();
      const wrong = { form: { scope: 'tickets:delete' } };
      const replies = await all((n) =>
        send(scene.tokenEndpoint, makeRequest(scene, wrong, { assertion, proof: `${assertion}-${n}` })),
      );
      const errors = replies.map((reply) => reply.json?.error).sort();
      assert.deepEqual(errors, [...Array(atOnce - 1).fill('invalid_client'), 'invalid_scope']);
    });

    test('two agents with the same jti at the same moment: both get a token', async () => {
      const scene = await world.scene();
      const ids = freshIds();
      const replies = await Promise.all([
        send(scene.tokenEndpoint, makeRequest(scene, {}, ids)),
        send(scene.tokenEndpoint, makeRequest(scene, { client: scene.other }, ids)),
      ]);
      assert.deepEqual(
        replies.map(({ status }) => status),
        [200, 200],
      );
    });

    test('fifty different requests: each gets a token of its own', async () => {
      const scene = await world.scene();
      const replies = await all(() => send(scene.tokenEndpoint, makeRequest(scene)));
      assert.ok(replies.every(({ status }) => status === 200));
      assert.equal(new Set(replies.map(({ json }) => json?.access_token)).size, atOnce);
    });

    test('a request repeated later, within its life: refused', async () => {
      const scene = await world.scene();
      const request = makeRequest(scene);
      assert.equal((await send(scene.tokenEndpoint, request)).status, 200);
      world.advance(20);
      const again = await send(scene.tokenEndpoint, request);
      assert.deepEqual([again.status, again.json?.error], [401, 'invalid_client']);
    });
  });
}

function all(ask: (n: number) => Promise<Reply>): Promise<Reply[]> {
  return Promise.all(Array.from({ length: atOnce }, (_, n) => ask(n)));
}

function assertOne(replies: Reply[], refusal: [status: number, error: string]): void {
  const tokens = replies.filter(({ json }) => json?.access_token !== undefined);
  assert.equal(tokens.length, 1, `${tokens.length} tokens`);
  const others = replies.filter(({ json }) => json?.access_token === undefined);
  for (const { status, json } of others) assert.deepEqual([status, json?.error], refusal);
}
