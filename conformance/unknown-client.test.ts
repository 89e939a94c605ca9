/**
 * Nobody learns from a refusal whether a client exists: the answer is the same to the letter, and so is the work.
 * The work is counted in signatures verified, not in time: a clock on a busy machine proves nothing.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { tokenClient } from '../packages/server/src/testing/token-client.ts';
import { type Algorithm, type Change, type Client, makeKey, makeRequest } from './craft.ts';
import { type MutualTls, makeAuthority, makeCertificate, openMutualTls } from './mutual-tls.ts';
import type { Scene } from './rejections/row.ts';
import { type Reply, send } from './send.ts';
import { databases, openWorld, type World } from './world.ts';

const real = crypto.verify;
let verified: string[] = [];

function count(): void {
  crypto.verify = ((...args: Parameters<typeof real>) => {
    verified.push((args[2] as { key?: crypto.KeyObject }).key?.asymmetricKeyType ?? typeOf(args[2]));
    return real(...args);
  }) as typeof real;
  syncBuiltinESMExports();
}

function uncount(): void {
  crypto.verify = real;
  syncBuiltinESMExports();
}

for (const database of databases) {
  describe(`who fails to authenticate, on ${database}`, () => {
    let world: World;
    before(async () => {
      world = await openWorld(database);
      count();
    });
    after(async () => {
      uncount();
      await world.close();
    });

    for (const alg of ['ES256', 'EdDSA', 'PS256', 'RS256'] as const) {
      test(`a stranger and an acquaintance with the wrong ${alg} key hear the same, after the same work`, async () => {
        const scene = await world.scene();
        const known = world.agents[alg];
        const wrong = makeKey(alg);
        const wrongKey = await attempt(scene, known, { assertion: { key: wrong } });
        for (const [who, change] of Object.entries(strangers(scene, known, alg, wrong))) {
          const reply = await attempt(scene, known, change);
          assert.deepEqual(reply.answer, wrongKey.answer, who);
          assert.deepEqual(reply.work, wrongKey.work, who);
        }
        assert.equal(wrongKey.work.length, 1, 'exactly one signature is looked at');
      });
    }

    test('a right request costs one signature for the assertion and one for the proof', async () => {
      const scene = await world.scene();
      verified = [];
      const reply = await send(scene.tokenEndpoint, makeRequest(scene));
      assert.equal(reply.status, 200);
      assert.deepEqual(verified, ['ec', 'ec']);
    });
  });
}

describe('who fails to authenticate by a certificate', () => {
  let world: MutualTls;
  before(async () => {
    world = await openMutualTls('sqlite');
    count();
  });
  after(async () => {
    uncount();
    await world.close();
  });

  test('a stranger and acquaintances of every kind hear the same, after the same work', async () => {
    const { authority } = world;
    const shown = await makeCertificate({ issuer: authority, subject: 'CN=shown' });
    const subject = { field: 'subject_dn', value: 'CN=somebody', ca: (await makeAuthority('CN=Else')).pem };
    const known = {
      'an agent with a key alone': await tokenClient(world.server),
      'an agent with another certificate': await world.agent({
        kind: 'certificate',
        certificate: (await makeCertificate({ subject: 'CN=else' })).pem,
      }),
      'an agent with a name of another authority': await world.agent({ kind: 'certificate_subject', subject }),
    };
    await world.token(shown, {}); // the first connection makes the server's own certificate
    const attempts: Record<string, { reply: object; work: string[] }> = {};
    const ids = {
      'a stranger': 'agt_00000000000000000000000000',
      'no id': 'nobody',
      'a foreign SPIFFE ID': 'spiffe://a/b',
    };
    const all = [
      ...Object.entries(ids),
      ...Object.entries(known).map(([who, { clientId }]) => [who, clientId] as const),
    ];
    for (const [who, client_id] of all) {
      verified = [];
      const reply = await world.token(shown, { client_id });
      assert.equal(reply.status, 401);
      const { date: _, ...headers } = reply.headers;
      attempts[who] = { reply: { text: reply.text, headers }, work: verified };
    }
    for (const [who, attempt] of Object.entries(attempts)) assert.deepEqual(attempt, attempts['a stranger'], who);
    assert.equal(attempts['a stranger']?.work.length, 1, 'exactly one signature is looked at');
  });
});

/** Everyone who must not be told apart from a known client with a wrong key of the same kind. */
function strangers(scene: Scene, known: Client, alg: Algorithm, wrong: Client['key']): Record<string, Change> {
  const unknown = { ...known, id: 'agt_00000000000000000000000000', key: wrong };
  return {
    'a client that nobody registered': { client: unknown },
    'a client that nobody registered, with a key that someone did': { client: { ...unknown, key: known.key } },
    'a client whose id is no id': { client: { ...unknown, id: 'nobody' } },
    'a known client with an unknown kid': { assertion: { key: wrong, header: { kid: wrong.kid } } },
    'a known client with a wrong key and no kid': { assertion: { key: wrong, header: { kid: undefined } } },
    'a known client with the kid of another': { assertion: { key: wrong, header: { kid: scene.other.key.kid } } },
    ...(alg === 'ES256' && {
      'an agent without keys': { client: scene.keyless },
      'an agent whose key has expired': { client: scene.staleKey },
      'a suspended agent with a wrong key': {
        client: { ...scene.suspended, key: { ...wrong, kid: scene.suspended.key.kid } },
      },
      'a retired agent with a wrong key': {
        client: { ...scene.retired, key: { ...wrong, kid: scene.retired.key.kid } },
      },
    }),
  };
}

async function attempt(scene: Scene, known: Client, change: Change): Promise<{ answer: object; work: string[] }> {
  const request = makeRequest({ ...scene, client: known }, change);
  verified = [];
  const reply = await send(scene.tokenEndpoint, request);
  assert.equal(reply.status, 401, reply.body);
  return { answer: shown(reply), work: verified };
}

/** All that a client sees, but for the date. */
function shown({ status, headers, body }: Reply): object {
  const { date: _, ...others } = headers;
  return { status, body, headers: others };
}

function typeOf(key: unknown): string {
  return String((key as { asymmetricKeyType?: string }).asymmetricKeyType);
}
