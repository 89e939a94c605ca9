/** Introspection answers as JWTs (RFC 9701), read by clients that we did not write. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';
import { type Change, type Client, makeKey, makeRequest } from './craft.ts';
import type { Scene } from './rejections/row.ts';
import { type Reply, send } from './send.ts';
import { cryptoKey } from './web-crypto.ts';
import { databases, openWorld, type World } from './world.ts';

const mediaType = 'application/token-introspection+jwt';
const insecure = { [oauth.allowInsecureRequests]: true };

for (const database of databases) {
  describe(`signed introspection, on ${database}`, () => {
    let world: World;
    let guard: Client;
    before(async () => {
      world = await openWorld(database);
      const key = makeKey('ES256');
      guard = { id: await world.registry.guard('guard', world.given.tickets, key.jwk), key, bindingKey: key };
    });
    after(() => world.close());

    test('a guard gets a JWT that says everything that the token says, for it alone', async () => {
      const scene = await world.scene();
      const token = await issued(scene);
      const { status, headers, body } = await ask(scene, { token }, mediaType);
      assert.equal(status, 200);
      assert.equal(headers['content-type'], mediaType);
      assert.match(headers['cache-control'] ?? '', /no-store/);
      assert.equal(decodeProtectedHeader(body).typ, 'token-introspection+jwt');
      const keys = createRemoteJWKSet(new URL(world.jwksUri));
      const { payload } = await jwtVerify(body, keys, {
        issuer: world.issuer,
        audience: guard.id,
        typ: 'token-introspection+jwt',
        algorithms: ['ES256'],
        currentDate: new Date(scene.now * 1000),
      });
      const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
      assert.deepEqual(Object.keys(payload).sort(), ['aud', 'iat', 'iss', 'token_introspection']);
      assert.deepEqual(payload.token_introspection, { active: true, token_type: 'DPoP', ...claims });
    });

    test('of a dead token it says that alone', async () => {
      const scene = await world.scene();
      const token = await issued(scene);
      await send(`${world.issuer}/oauth2/revoke`, asked(scene, scene.client, { token }));
      for (const dead of [token, 'x']) {
        const { body } = await ask(scene, { token: dead }, mediaType);
        const payload = JSON.parse(Buffer.from(body.split('.')[1] ?? '', 'base64url').toString());
        assert.deepEqual(payload.token_introspection, { active: false });
      }
    });

    for (const [accept, signed] of [
      [undefined, false],
      ['*/*', false],
      ['application/json', false],
      [`application/json, ${mediaType};q=0.5`, false],
      [`${mediaType};q=0`, false],
      [`application/json, ${mediaType}`, true],
      [`text/html;q=0.9, ${mediaType.toUpperCase()};Q=0.8`, true],
    ] as const) {
      test(`asked with ${accept ?? 'no Accept'}, it answers ${signed ? 'a JWT' : 'JSON'}`, async () => {
        const scene = await world.scene();
        const { headers, json } = await ask(scene, { token: await issued(scene) }, accept);
        assert.ok(headers['content-type']?.startsWith(signed ? mediaType : 'application/json'));
        assert.equal(json?.active, signed ? undefined : true);
      });
    }

    test('who does not authenticate gets an error, and no JWT', async () => {
      const scene = await world.scene();
      const { status, json, headers } = await ask(
        scene,
        { token: await issued(scene), client_assertion: undefined, client_assertion_type: undefined },
        mediaType,
      );
      assert.deepEqual([status, json?.error], [401, 'invalid_client']);
      assert.match(headers['content-type'] ?? '', /^application\/json/);
    });

    test('it is taken for no token: neither by introspection, nor by the admin API', async () => {
      const scene = await world.scene();
      const { body } = await ask(scene, { token: await issued(scene) }, mediaType);
      assert.deepEqual((await ask(scene, { token: body }, undefined)).json, { active: false });
      const reply = await fetch(`${world.issuer}/admin/v1/agents`, { headers: { authorization: `DPoP ${body}` } });
      assert.equal(reply.status, 401);
    });

    test('oauth4webapi asks for it, and finds everything as the RFC has it', async () => {
      const issuer = new URL(world.issuer);
      const discovery = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
      const as = await oauth.processDiscoveryResponse(issuer, discovery);
      assert.deepEqual(as.introspection_signing_alg_values_supported, ['ES256']);
      const client: oauth.Client = {
        client_id: guard.id,
        introspection_signed_response_alg: 'ES256',
        [oauth.clockSkew]: world.clockSkew(),
      };
      const auth = oauth.PrivateKeyJwt({ key: await cryptoKey(guard.key), kid: guard.key.kid });
      const token = await issued(await world.scene());
      const response = await oauth.introspectionRequest(as, client, auth, token, insecure);
      const told = await oauth.processIntrospectionResponse(as, client, response);
      await oauth.validateApplicationLevelSignature(as, response, insecure);
      assert.equal(told.active, true);
      assert.equal(told.iss, world.issuer);
    });

    async function ask(scene: Scene, form: NonNullable<Change['form']>, accept: string | undefined): Promise<Reply> {
      const draft = asked(scene, guard, form);
      const others = draft.headers.filter(([name]) => name.toLowerCase() !== 'accept');
      const headers: typeof draft.headers = accept === undefined ? others : [...others, ['Accept', accept]];
      return send(`${world.issuer}/oauth2/introspect`, { ...draft, headers });
    }
  });
}

function asked(scene: Scene, client: Client, form: NonNullable<Change['form']>) {
  const nothing = { grant_type: undefined, scope: undefined, resource: undefined };
  return makeRequest(scene, { client, proof: 'none', form: { ...nothing, ...form } });
}

async function issued(scene: Scene): Promise<string> {
  const reply = await send(scene.tokenEndpoint, makeRequest(scene));
  assert.equal(reply.status, 200, reply.body);
  return String(reply.json?.access_token);
}
