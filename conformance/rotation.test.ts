/**
 * Signing keys change, and no verifier notices: neither one that keeps the key set for as long as it may, nor one
 * whose clock is off by what the configuration forgives. Hours pass here in a moment.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { makeRequest } from './craft.ts';
import { send } from './send.ts';
import { databases, openWorld, type World } from './world.ts';

interface Verifier {
  /** Seconds by which its clock is wrong. */
  skew: number;
  keys?: { set: JSONWebKeySet; until: number };
}

for (const database of databases) {
  describe(`rotation of the signing keys, on ${database}`, () => {
    let world: World;
    before(async () => {
      world = await openWorld(database);
    });
    after(() => world.close());

    test('no verifier with a cached key set ever refuses a living token', async () => {
      const verifiers: Verifier[] = [{ skew: 0 }, { skew: 30 }, { skew: -30 }];
      const tokens: { token: string; until: number }[] = [];
      const kids = new Set<string>();
      const stepSeconds = 45;
      for (let minute = 0; minute < 90; minute += stepSeconds / 60) {
        if ([9, 30, 51].includes(minute)) await world.rotateKeys('ES256');
        const token = await issued(world);
        kids.add(String(decodeProtectedHeader(token).kid));
        tokens.push({ token, until: world.now() + 600 });
        for (const verifier of verifiers) {
          for (const each of tokens.filter(({ until }) => until > world.now() - Math.min(0, verifier.skew))) {
            await verified(world, verifier, each.token);
          }
        }
        world.advance(stepSeconds);
      }
      assert.equal(kids.size, 4, 'the first key and its three successors have signed');
    });

    test('a new key is published before it signs, and signs after that', async () => {
      const before = await signingKid(world);
      await world.rotateKeys('ES256');
      const published = (await keySet(world)).set.keys.map(({ kid }) => kid);
      assert.ok(published.includes(before));
      const successor = published.find((kid) => kid !== before);
      assert.ok(successor, 'two keys are published');
      assert.equal(await signingKid(world), before);
      world.advance(601);
      assert.equal(await signingKid(world), successor);
    });

    test('an old key is gone once its last token has died', async () => {
      const before = await signingKid(world);
      await world.rotateKeys('ES256');
      world.advance(601 + 900 + 61);
      const published = (await keySet(world)).set.keys.map(({ kid }) => kid);
      assert.ok(!published.includes(before));
      assert.ok(published.includes(await signingKid(world)));
    });

    test('rotating twice at once makes one successor', async () => {
      const published = (await keySet(world)).set.keys.length;
      await Promise.all([world.rotateKeys('ES256'), world.rotateKeys('ES256')]);
      assert.equal((await keySet(world)).set.keys.length, published + 1);
    });

    test('the key set holds public keys alone', async () => {
      for (const jwk of (await keySet(world)).set.keys) {
        for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) assert.ok(!(name in jwk), name);
        assert.equal(jwk.use, 'sig');
        assert.equal(typeof jwk.alg, 'string');
      }
    });
  });
}

async function issued(world: World): Promise<string> {
  const scene = await world.scene();
  const reply = await send(scene.tokenEndpoint, makeRequest(scene));
  assert.equal(reply.status, 200, reply.body);
  return String(reply.json?.access_token);
}

async function signingKid(world: World): Promise<string> {
  return String(decodeProtectedHeader(await issued(world)).kid);
}

async function verified(world: World, verifier: Verifier, token: string): Promise<void> {
  const now = world.now();
  if (verifier.keys === undefined || verifier.keys.until <= now) verifier.keys = await keySet(world);
  const options = { issuer: world.issuer, audience: world.resources.tickets, typ: 'at+jwt' };
  await jwtVerify(token, createLocalJWKSet(verifier.keys.set), {
    ...options,
    currentDate: new Date((now + verifier.skew) * 1000),
    clockTolerance: 60,
  });
}

/** The key set, and until when it may be kept: to the last second. */
async function keySet(world: World): Promise<{ set: JSONWebKeySet; until: number }> {
  const response = await fetch(world.jwksUri);
  const seconds = /max-age=(\d+)/.exec(response.headers.get('cache-control') ?? '')?.[1];
  assert.ok(seconds, 'the key set says how long it may be kept');
  return { set: (await response.json()) as JSONWebKeySet, until: world.now() + Number(seconds) };
}
