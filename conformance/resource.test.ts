/**
 * A resource behind the guard, called by oauth4webapi; and our own admin API, which protects itself. What a resource
 * has to answer: RFC 6750 §3, RFC 9449 §7, RFC 9728 §5, RFC 9457.
 */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { createGuard, type Guard } from '../packages/guard/src/index.ts';
import { encode, makeKey, makeRequest, signAs } from './craft.ts';
import type { Scene } from './rejections/row.ts';
import { send } from './send.ts';
import { cryptoKeyPair } from './web-crypto.ts';
import { openWorld, type World } from './world.ts';

const insecure = { [oauth.allowInsecureRequests]: true };
const operations = [
  { name: 'read', method: 'GET', path: '/tickets/{id}', scope: ['tickets:read'], sensitivity: 'low' as const },
  {
    name: 'close',
    method: 'POST',
    path: '/tickets/{id}/close',
    scope: ['tickets:delete'],
    sensitivity: 'high' as const,
  },
];

describe('a resource behind the guard', () => {
  let world: World;
  let api: Server;
  let base: string;
  let guard: Guard;
  before(async () => {
    world = await openWorld('sqlite');
    api = createServer((request, response) =>
      guard.node((_, answer, caller) => answer.end(JSON.stringify({ agent: caller.agent })))(request, response),
    ).listen(0, '127.0.0.1');
    await once(api, 'listening');
    base = `http://localhost:${(api.address() as AddressInfo).port}/api`;
    const resource = await world.registry.resource({ identifier: base, scopes: ['tickets:read', 'tickets:delete'] });
    await world.registry.widen(world.client, resource, ['tickets:read']);
    const key = makeKey('ES256');
    const id = await world.registry.guard('guard', resource, key.jwk);
    const jwk = { ...key.jwk, ...key.privateKey.export({ format: 'jwk' }) } as never;
    guard = createGuard({
      issuer: world.issuer,
      resource: base,
      operations,
      credential: { client_id: id, jwk },
      introspection: { cacheSeconds: 0 },
      now: () => world.now() * 1000,
    });
  });
  after(async () => {
    guard.close();
    api.closeAllConnections();
    api.close();
    await world.close();
  });

  test('is discovered and called by oauth4webapi with a bound token', async () => {
    const found = await oauth.processResourceDiscoveryResponse(
      new URL(base),
      await oauth.resourceDiscoveryRequest(new URL(base), insecure),
    );
    assert.deepEqual(found.authorization_servers, [world.issuer]);
    assert.equal(found.dpop_bound_access_tokens_required, true);
    const response = await call(await tokenFor(base), 'GET', '/tickets/1');
    assert.deepEqual(await response.json(), { agent: world.client.id });
  });

  test('answers a stranger with a challenge that leads to its metadata, and without an error code', async () => {
    const { status, headers } = await fetch(`${base}/tickets/1`);
    assert.equal(status, 401);
    const challenge = headers.get('www-authenticate') ?? '';
    assert.match(challenge, /^DPoP /);
    assert.doesNotMatch(challenge, /error=/);
    const place = /resource_metadata="([^"]+)"/.exec(challenge)?.[1];
    assert.equal(((await (await fetch(String(place))).json()) as { resource: string }).resource, base);
  });

  test('answers 403 insufficient_scope and names the scope that is needed', async () => {
    const failure = await challenged(call(await tokenFor(base), 'POST', '/tickets/1/close'));
    assert.equal(failure.status, 403);
    assert.equal(failure.parameters.error, 'insufficient_scope');
    assert.equal(failure.parameters.scope, 'tickets:delete');
  });

  test('refuses what its registration does not list, with problem details', async () => {
    const response = await call(await tokenFor(base), 'DELETE', '/tickets/1');
    assert.equal(response.status, 403);
    assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
    const problem = (await response.json()) as Record<string, unknown>;
    assert.equal(problem.status, 403);
    for (const name of ['type', 'title', 'detail']) assert.equal(typeof problem[name], 'string', name);
  });

  for (const [sentence, token] of [
    ['a token for another resource', () => tokenFor(world.resources.tickets)],
    ['a token that is none', async () => 'x.y.z'],
    ['a token with its payload altered', async () => altered(await tokenFor(base))],
  ] as const) {
    test(`answers 401 invalid_token to ${sentence}`, async () => {
      const failure = await challenged(call(await token(), 'GET', '/tickets/1'));
      assert.equal(failure.status, 401);
      assert.equal(failure.parameters.error, 'invalid_token');
    });
  }

  test('answers 401 invalid_token to a revoked token at once', async () => {
    const token = await tokenFor(base);
    assert.equal((await call(token, 'GET', '/tickets/1')).status, 200);
    const scene = await world.scene();
    const form = { token, grant_type: undefined, scope: undefined, resource: undefined };
    await send(`${world.issuer}/oauth2/revoke`, makeRequest(scene, { proof: 'none', form }));
    assert.equal((await challenged(call(token, 'GET', '/tickets/1'))).parameters.error, 'invalid_token');
  });

  test('answers 401 invalid_token to a bound token that is sent as a bearer token', async () => {
    const token = await tokenFor(base);
    const response = await fetch(`${base}/tickets/1`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(response.status, 401);
    assert.match(response.headers.get('www-authenticate') ?? '', /error="invalid_token"/);
  });

  test('answers 401 invalid_dpop_proof to every way in which a proof can be wrong', async () => {
    const token = await tokenFor(base);
    const scene = await world.scene();
    const right = { htm: 'GET', htu: `${base}/tickets/1`, iat: scene.now, ath: hash(token) };
    const wrongs: Record<string, Record<string, unknown>> = {
      'without ath': { ath: undefined },
      'with the ath of another token': { ath: hash('x') },
      'for another method': { htm: 'POST' },
      'for another URL': { htu: `${base}/tickets/2` },
      'for another host': { htu: 'https://other.example/api/tickets/1' },
      'too old': { iat: scene.now - 600 },
      'from the future': { iat: scene.now + 600 },
      'without a jti': { jti: undefined },
    };
    for (const [sentence, wrong] of Object.entries(wrongs)) {
      const reply = await sendProof(scene, token, [prove(scene, { ...right, ...wrong })]);
      assert.deepEqual(
        [reply.status, /error="([^"]+)"/.exec(reply.challenge)?.[1]],
        [401, 'invalid_dpop_proof'],
        sentence,
      );
    }
    const foreign = prove({ ...scene, client: scene.other }, right);
    assert.equal((await sendProof(scene, token, [foreign])).status, 401, 'by another key');
    assert.equal((await sendProof(scene, token, [])).status, 401, 'none at all');
    const proof = prove(scene, right);
    assert.equal((await sendProof(scene, token, [proof, prove(scene, right)])).status, 401, 'two of them');
    assert.equal((await sendProof(scene, token, [proof])).status, 200, 'a right one');
    assert.equal((await sendProof(scene, token, [proof])).status, 401, 'a second time');
  });

  async function tokenFor(resource: string): Promise<string> {
    const scene = await world.scene();
    const reply = await send(scene.tokenEndpoint, makeRequest(scene, { form: { resource, scope: 'tickets:read' } }));
    assert.equal(reply.status, 200, reply.body);
    return String(reply.json?.access_token);
  }

  async function call(token: string, method: string, path: string): Promise<Response> {
    const client = { client_id: world.client.id, [oauth.clockSkew]: world.clockSkew() };
    const DPoP = oauth.DPoP(client, await cryptoKeyPair(world.client.bindingKey));
    const url = new URL(base + path);
    return oauth.protectedResourceRequest(token, method, url, new Headers(), null, { DPoP, ...insecure });
  }

  async function sendProof(scene: Scene, token: string, proofs: string[]) {
    const headers: [string, string][] = [['Authorization', `DPoP ${token}`]];
    for (const proof of proofs) headers.push(['DPoP', proof]);
    const reply = await send(`${base}/tickets/1`, { method: 'GET', query: '', headers, body: Buffer.alloc(0) });
    assert.notEqual(reply.status, 500);
    return { status: reply.status, challenge: reply.headers['www-authenticate'] ?? '', now: scene.now };
  }
});

describe('the admin API as a resource', () => {
  let world: World;
  before(async () => {
    world = await openWorld('sqlite');
  });
  after(() => world.close());

  test('answers a stranger with a challenge and no error code, whatever the method', async () => {
    for (const [method, path] of [
      ['GET', '/agents'],
      ['POST', '/keys/rotate'],
      ['HEAD', '/keys/rotate'],
      ['DELETE', '/nothing/here'],
    ] as const) {
      const { status, headers } = await fetch(`${world.issuer}/admin/v1${path}`, { method });
      assert.equal(status, 401, `${method} ${path}`);
      assert.match(headers.get('www-authenticate') ?? '', /^DPoP .*resource_metadata="/);
      assert.doesNotMatch(headers.get('www-authenticate') ?? '', /error=/);
    }
  });

  test('answers 401 invalid_token to the token of an agent for something else', async () => {
    const scene = await world.scene();
    const token = String((await send(scene.tokenEndpoint, makeRequest(scene))).json?.access_token);
    const url = `${world.issuer}/admin/v1/agents`;
    const proof = prove(scene, { htm: 'GET', htu: url, iat: scene.now, ath: hash(token) });
    const { status, headers } = await fetch(url, { headers: { authorization: `DPoP ${token}`, dpop: proof } });
    assert.equal(status, 401);
    assert.match(headers.get('www-authenticate') ?? '', /error="invalid_token"/);
  });

  test('answers problem details that name the field', async () => {
    const response = await world.operator.fetch(`${world.issuer}/admin/v1/agents`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'No Slug', kind: 'robot', owner: 'me' }),
    });
    assert.equal(response.status, 400);
    assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
    const problem = (await response.json()) as { status: number; errors: { field: string; message: string }[] };
    assert.equal(problem.status, 400);
    assert.deepEqual(problem.errors.map(({ field }) => field).sort(), ['kind', 'name', 'owner']);
  });
});

async function challenged(response: Promise<Response>) {
  try {
    const { status } = await response;
    assert.fail(`no challenge, but ${status}`);
  } catch (error) {
    assert.ok(error instanceof oauth.WWWAuthenticateChallengeError, String(error));
    const [challenge] = error.cause;
    return { status: error.status, parameters: challenge?.parameters ?? {} };
  }
}

function prove(scene: Scene, claims: Record<string, unknown>): string {
  const { bindingKey: key } = scene.client;
  const header = { typ: 'dpop+jwt', alg: key.alg, jwk: key.bareJwk };
  const input = `${encode(header)}.${encode({ jti: randomUUID(), ...claims })}`;
  return `${input}.${encode(signAs(key.alg, key.privateKey, Buffer.from(input)))}`;
}

const hash = (token: string): string => createHash('sha256').update(token).digest('base64url');

function altered(token: string): string {
  const [head, body, signature] = token.split('.') as [string, string, string];
  const text = Buffer.from(body, 'base64url').toString().replace('tickets:read', 'tickets:rite');
  return `${head}.${Buffer.from(text).toString('base64url')}.${signature}`;
}
