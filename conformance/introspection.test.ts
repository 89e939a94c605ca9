/** Introspection and revocation: who may ask, and what they hear. RFC 7662, RFC 7009. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Change, type Client, makeKey, makeRequest } from './craft.ts';
import type { Scene } from './rejections/row.ts';
import { type Reply, send } from './send.ts';
import { databases, openWorld, type World } from './world.ts';

for (const database of databases) {
  describe(`introspection and revocation, on ${database}`, () => {
    let world: World;
    let guard: Client;
    let foreignGuard: Client;
    before(async () => {
      world = await openWorld(database);
      guard = await guardOf('guard', world.given.tickets);
      foreignGuard = await guardOf('foreign-guard', world.given.open);
    });
    after(() => world.close());

    async function guardOf(name: string, resource: World['given'][keyof World['given']]): Promise<Client> {
      const key = makeKey('ES256');
      return { id: await world.registry.guard(name, resource, key.jwk), key, bindingKey: key };
    }

    test('a guard of the resource hears everything that the token says', async () => {
      const scene = await world.scene();
      const token = await issued(scene);
      const { status, json, headers } = await ask(scene, 'introspect', guard, { token });
      assert.equal(status, 200);
      assert.match(headers['cache-control'] ?? '', /no-store/);
      const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
      assert.deepEqual(json, { active: true, token_type: 'DPoP', ...claims });
    });

    test('a guard of another resource hears nothing', async () => {
      const scene = await world.scene();
      const { json } = await ask(scene, 'introspect', foreignGuard, { token: await issued(scene) });
      assert.deepEqual(json, { active: false });
    });

    test('nobody hears anything without authenticating', async () => {
      const scene = await world.scene();
      const token = await issued(scene);
      for (const endpoint of ['introspect', 'revoke'] as const) {
        const bare = { client_assertion: undefined, client_assertion_type: undefined };
        const reply = await ask(scene, endpoint, guard, { token, ...bare });
        assert.deepEqual([reply.status, reply.json?.error], [401, 'invalid_client']);
        const wrongKey = { ...guard, key: { ...makeKey('ES256'), kid: guard.key.kid } };
        const forged = await ask(scene, endpoint, wrongKey, { token });
        assert.deepEqual([forged.status, forged.json?.error], [401, 'invalid_client']);
      }
      assert.equal((await ask(scene, 'introspect', guard, { token })).json?.active, true);
    });

    test('a request without a token, or with two, is refused', async () => {
      const scene = await world.scene();
      for (const endpoint of ['introspect', 'revoke'] as const) {
        for (const token of [undefined, '', ['a', 'b']]) {
          const reply = await ask(scene, endpoint, guard, { token });
          assert.deepEqual([reply.status, reply.json?.error], [400, 'invalid_request'], `${endpoint} ${token}`);
        }
      }
    });

    test('a hint is only a hint', async () => {
      const scene = await world.scene();
      const token = await issued(scene);
      for (const hint of ['access_token', 'refresh_token', 'urn:example:nonsense']) {
        const { json } = await ask(scene, 'introspect', guard, { token, token_type_hint: hint });
        assert.equal(json?.active, true, hint);
      }
      const revoked = await ask(scene, 'revoke', scene.client, { token, token_type_hint: 'refresh_token' });
      assert.equal(revoked.status, 200);
      assert.deepEqual((await ask(scene, 'introspect', guard, { token })).json, { active: false });
    });

    test('what is no token of ours is inactive, and revoking it succeeds', async () => {
      const scene = await world.scene();
      const good = await issued(scene);
      const [head, body, signature] = good.split('.') as [string, string, string];
      const altered = Buffer.from(Buffer.from(body, 'base64url').toString().replace('tickets:read', 'tickets:rea!'));
      const wrong = [
        'x',
        '\0',
        `${good}x`,
        `${head}.${body}.`,
        `${head}.${altered.toString('base64url')}.${signature}`,
        `eyJhbGciOiJub25lIn0.${body}.`,
        'x'.repeat(20_000),
      ];
      for (const token of wrong) {
        assert.deepEqual((await ask(scene, 'introspect', guard, { token })).json, { active: false });
        assert.equal((await ask(scene, 'revoke', scene.client, { token })).status, 200);
      }
      assert.equal((await ask(scene, 'introspect', guard, { token: good })).json?.active, true);
    });

    test('an expired token is inactive, to the second', async () => {
      const scene = await world.scene();
      const token = await issued(scene);
      world.advance(599);
      assert.equal((await ask(await world.scene(), 'introspect', guard, { token })).json?.active, false);
      const second = await world.scene();
      const other = await issued(second);
      world.advance(598);
      assert.equal((await ask(await world.scene(), 'introspect', guard, { token: other })).json?.active, true);
    });

    test('an assertion is good for one question', async () => {
      const scene = await world.scene();
      const token = await issued(scene);
      for (const endpoint of ['introspect', 'revoke'] as const) {
        const request = asked(scene, scene.client, { token: 'x', again: token });
        const url = `${world.issuer}/oauth2/${endpoint}`;
        assert.equal((await send(url, request)).status, 200);
        const again = await send(url, request);
        assert.deepEqual([again.status, again.json?.error], [401, 'invalid_client'], endpoint);
      }
    });

    test('revoking twice is no mistake', async () => {
      const scene = await world.scene();
      const token = await issued(scene);
      for (let n = 0; n < 2; n++) assert.equal((await ask(scene, 'revoke', scene.client, { token })).status, 200);
    });

    test('the token of another agent is not revoked', async () => {
      const scene = await world.scene();
      const token = await issued(scene);
      const reply = await ask(scene, 'revoke', scene.other, { token });
      assert.equal(reply.status, 400);
      assert.equal((await ask(scene, 'introspect', guard, { token })).json?.active, true);
    });

    test('a suspended agent’s tokens are inactive at once, and stay so when it is resumed', async () => {
      const scene = await world.scene();
      const token = await issued(scene, { client: scene.other });
      await world.registry.suspend(scene.other);
      assert.deepEqual((await ask(scene, 'introspect', guard, { token })).json, { active: false });
      await world.registry.resume(scene.other);
      assert.deepEqual((await ask(scene, 'introspect', guard, { token })).json, { active: false });
      const next = await world.scene();
      const fresh = await issued(next, { client: next.other });
      assert.equal((await ask(next, 'introspect', guard, { token: fresh })).json?.active, true);
    });

    async function ask(
      scene: Scene,
      endpoint: 'introspect' | 'revoke',
      client: Client,
      form: NonNullable<Change['form']>,
    ): Promise<Reply> {
      return send(`${world.issuer}/oauth2/${endpoint}`, asked(scene, client, form));
    }
  });
}

function asked(scene: Scene, client: Client, form: NonNullable<Change['form']>) {
  const nothing = { grant_type: undefined, scope: undefined, resource: undefined };
  return makeRequest(scene, { client, proof: 'none', form: { ...nothing, ...form } });
}

async function issued(scene: Scene, change: Change = {}): Promise<string> {
  const reply = await send(scene.tokenEndpoint, makeRequest(scene, change));
  assert.equal(reply.status, 200, reply.body);
  return String(reply.json?.access_token);
}
