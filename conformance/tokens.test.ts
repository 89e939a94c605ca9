/** What a token says, and which ways of asking for one are right: the other side of the rejection table. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { type Change, makeRequest } from './craft.ts';
import type { Scene } from './rejections/row.ts';
import { send } from './send.ts';
import { databases, openWorld, type World } from './world.ts';

type Accepted = [sentence: string, sent: Change | ((scene: Scene) => Change)];

const accepted: Accepted[] = [
  ['the plainest request', {}],
  ['a client_id that is the sub', ({ client }) => ({ form: { client_id: client.id } })],
  ['parameters that nobody knows', { form: { audience: 'x', foo: 'bar', __proto__x: '1', constructor: '1' } }],
  ['parameters without a value, as if they were left out', { form: { client_id: '', client_secret: '', x: '' } }],
  ['no scope: the registration means one', { form: { scope: undefined } }],
  ['an empty scope: likewise', { form: { scope: '' } }],
  ['no resource: the registration means one', { form: { resource: undefined } }],
  ['an empty resource: likewise', { form: { resource: '' } }],
  ['two scopes', { form: { scope: 'tickets:read tickets:write' } }],
  ['a charset behind the content type', { type: 'application/x-www-form-urlencoded; charset=UTF-8' }],
  ['a content type in other letters', { type: 'Application/X-WWW-Form-Urlencoded' }],
  ['a query that means nothing', { query: '?utm=1' }],
  ['an assertion: no kid, for an agent with one key', { assertion: { header: { kid: undefined } } }],
  ['an assertion: typ JWT', { assertion: { header: { typ: 'JWT' } } }],
  ['an assertion: typ client-authentication+jwt', { assertion: { header: { typ: 'client-authentication+jwt' } } }],
  ['an assertion: no iat', { assertion: { claims: { iat: undefined } } }],
  ['an assertion: nbf now', ({ now }) => ({ assertion: { claims: { nbf: now } } })],
  ['an assertion: exp with a fraction', ({ now }) => ({ assertion: { claims: { exp: now + 30.5 } } })],
  ['an assertion: five minutes long', ({ now }) => ({ assertion: { claims: { exp: now + 300 } } })],
  [
    'an assertion: a clock ten seconds ahead',
    ({ now }) => ({ assertion: { claims: { iat: now + 10, exp: now + 70 } } }),
  ],
  [
    'an assertion: a clock ten seconds behind',
    ({ now }) => ({ assertion: { claims: { iat: now - 70, exp: now - 10 } } }),
  ],
  ['an assertion: claims that nobody knows', { assertion: { claims: { foo: { bar: [1] }, groups: ['x'] } } }],
  ['an assertion: a jti of 200 letters', ({ now }) => ({ assertion: { claims: { jti: `${now}`.padEnd(200, 'x') } } })],
  ['a proof: htu with a query', ({ tokenEndpoint }) => ({ proof: { claims: { htu: `${tokenEndpoint}?x=1` } } })],
  [
    'a proof: htu with its host in capitals',
    ({ tokenEndpoint }) => ({
      proof: { claims: { htu: tokenEndpoint.replace('localhost', 'LOCALHOST') } },
    }),
  ],
  ['a proof: claims that nobody knows', { proof: { claims: { foo: 'bar' } } }],
  ['a proof: a clock ten seconds behind', ({ now }) => ({ proof: { claims: { iat: now - 10 } } })],
  ['a proof: by the key of the assertion', ({ client }) => ({ client: { ...client, bindingKey: client.key } })],
  ['a proof: by an RSA key', ({ client, rsa }) => ({ client: { ...client, bindingKey: rsa.key } })],
];

for (const database of databases) {
  describe(`tokens, on ${database}`, () => {
    let world: World;
    before(async () => {
      world = await openWorld(database);
    });
    after(() => world.close());

    for (const [sentence, sent] of accepted) {
      test(`are given for ${sentence}`, async () => {
        const scene = await world.scene();
        const request = makeRequest(scene, typeof sent === 'function' ? sent(scene) : sent);
        const reply = await send(scene.tokenEndpoint, request);
        assert.equal(reply.status, 200, reply.body);
        assert.match(reply.headers['cache-control'] ?? '', /\bno-store\b/);
        assert.match(reply.headers['content-type'] ?? '', /^application\/json\b/);
        const { access_token, token_type, expires_in, scope, ...others } = reply.json ?? {};
        assert.deepEqual({ token_type, expires_in, others }, { token_type: 'DPoP', expires_in: 600, others: {} });
        assert.match(String(scope), /^tickets:read\b/);
        await verified(world, String(access_token), world.resources.tickets);
      });
    }

    test('say all that RFC 9068 wants, and what they are bound to', async () => {
      const scene = await world.scene();
      const reply = await send(
        scene.tokenEndpoint,
        makeRequest(scene, { form: { scope: 'tickets:read tickets:write' } }),
      );
      const { payload, protectedHeader } = await verified(world, String(reply.json?.access_token), scene.resource);
      assert.equal(protectedHeader.typ, 'at+jwt');
      assert.equal(protectedHeader.alg, 'ES256');
      assert.equal(payload.iss, world.issuer);
      assert.equal(payload.aud, scene.resource);
      assert.equal(payload.client_id, scene.client.id);
      assert.match(String(payload.sub), /^spiffe:\/\/localhost\/[a-z0-9._-]+\/asks-with-es256$/);
      assert.equal(payload.scope, 'tickets:read tickets:write');
      assert.equal(payload.iat, scene.now);
      assert.equal(payload.exp, scene.now + 600);
      assert.match(String(payload.jti), /^[\w-]{16,}$/);
      assert.deepEqual(payload.cnf, { jkt: scene.client.bindingKey.kid });
    });

    test('for a resource that dangerously wants it are bound to nothing, unless a proof comes along', async () => {
      const scene = await world.scene();
      const resource = world.resources.open;
      const bare = await send(scene.tokenEndpoint, makeRequest(scene, { proof: 'none', form: { resource } }));
      assert.equal(bare.json?.token_type, 'Bearer');
      assert.equal((await verified(world, String(bare.json?.access_token), resource)).payload.cnf, undefined);
      const bound = await send(scene.tokenEndpoint, makeRequest(scene, { form: { resource } }));
      assert.equal(bound.json?.token_type, 'DPoP');
      const { cnf } = (await verified(world, String(bound.json?.access_token), resource)).payload;
      assert.deepEqual(cnf, { jkt: scene.client.bindingKey.kid });
    });

    test('carry the scope that was asked for and no other, though the roles would give more', async () => {
      const scene = await world.scene();
      const reply = await send(scene.tokenEndpoint, makeRequest(scene, { form: { scope: 'tickets:write' } }));
      assert.equal(reply.json?.scope, 'tickets:write');
      assert.equal(
        (await verified(world, String(reply.json?.access_token), scene.resource)).payload.scope,
        'tickets:write',
      );
    });

    test('all have a jti of their own', async () => {
      const jtis = new Set<unknown>();
      for (let n = 0; n < 5; n++) {
        const scene = await world.scene();
        const reply = await send(scene.tokenEndpoint, makeRequest(scene));
        jtis.add((await verified(world, String(reply.json?.access_token), scene.resource)).payload.jti);
      }
      assert.equal(jtis.size, 5);
    });

    test('bring the nonce for the next proof', async () => {
      const scene = await world.scene();
      const reply = await send(scene.tokenEndpoint, makeRequest(scene));
      const next = { ...scene, nonce: reply.headers['dpop-nonce'] ?? '' };
      assert.equal((await send(scene.tokenEndpoint, makeRequest(next))).status, 200);
    });
  });
}

function verified(world: World, token: string, audience: string) {
  return jwtVerify<Record<string, unknown>>(token, createRemoteJWKSet(new URL(world.jwksUri)), {
    issuer: world.issuer,
    audience,
    typ: 'at+jwt',
    currentDate: new Date(world.now() * 1000),
  });
}
