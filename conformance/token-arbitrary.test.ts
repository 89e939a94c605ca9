/** Whatever bytes arrive, the token endpoint answers as an OAuth server does: never with a 500, never with a token. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { encode, type JwtChange, makeRequest } from './craft.ts';
import { type Reply, send } from './send.ts';
import { databases, openWorld, type World } from './world.ts';

const names = [
  'grant_type',
  'client_assertion',
  'client_assertion_type',
  'client_id',
  'client_secret',
  'resource',
  'scope',
  '__proto__',
  'x',
];
const header = fc.string({ unit: fc.constantFrom(...printable()), maxLength: 200 });
const anyJson = fc.jsonValue({ maxDepth: 3, noUnicodeString: false });
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom('', '\0', '\ud800', 'a\r\nb: c'),
);

for (const database of databases) {
  describe(`arbitrary input, on ${database}`, () => {
    const runs = { numRuns: database === 'sqlite' ? 200 : 60 };
    let world: World;
    before(async () => {
      world = await openWorld(database);
    });
    after(() => world.close());

    test('arbitrary bytes as the form', () => holds(fc.uint8Array({ maxLength: 2000 }), (body) => ({ body })));

    test('arbitrary parameters, repeated or not', () =>
      holds(fc.array(fc.tuple(fc.oneof(fc.constantFrom(...names), anyText), anyText), { maxLength: 12 }), (pairs) => ({
        body: pairs.map((pair) => pair.map((part) => encodeURIComponent(part.toWellFormed())).join('=')).join('&'),
      })));

    test('a right form with arbitrary bytes behind it', () =>
      holds(fc.uint8Array({ minLength: 1, maxLength: 200 }), (tail) => ({
        // without a proof no token is due, whatever the tail turns out to mean
        proof: 'none',
        body: (encoded) => Buffer.concat([Buffer.from(`${encoded}&`), tail]),
      })));

    test('arbitrary values in the headers that matter', () =>
      holds(fc.record({ authorization: header, dpop: header, type: header }), ({ authorization, dpop, type }) => ({
        type,
        proof: { compact: () => dpop },
        headers: [['Authorization', authorization]],
      })));

    test('an arbitrary string as the assertion', () =>
      holds(anyText, (text) => ({ form: { client_assertion: text.toWellFormed() } })));

    test('an assertion of three arbitrary parts', () =>
      holds(fc.tuple(fc.uint8Array(), fc.uint8Array(), fc.uint8Array()), (parts) => ({
        form: { client_assertion: parts.map(encode).join('.') },
      })));

    test('arbitrary JSON as the header or the claims of a signed assertion', () =>
      holds(fc.tuple(anyJson, fc.boolean()), ([value, inHeader]) => ({ assertion: raw(value, inHeader) })));

    test('an arbitrary value for any claim of a signed assertion', () =>
      holds(
        fc.tuple(fc.constantFrom('iss', 'sub', 'aud', 'exp', 'jti'), fc.oneof(anyJson, anyText)),
        ([name, value]) => ({
          // a jti of any letters may well be right: its proof is left away, so that no token is due
          proof: 'none',
          assertion: { claims: { [name]: value } },
        }),
      ));

    test('an arbitrary value for any member of a proof’s header, jwk or claims', () =>
      holds(
        fc.tuple(
          fc.constantFrom('typ', 'alg', 'jwk', 'kty', 'crv', 'x', 'y', 'htm', 'htu', 'iat', 'nonce'),
          fc.oneof(anyJson, anyText),
        ),
        ([name, value]) => ({ proof: wrongProof(name, value) }),
      ));

    test('arbitrary bytes where a request should be', async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 500 }), async (bytes) => {
          const answer = await rawExchange(world.tokenEndpoint, bytes);
          assert.doesNotMatch(answer, /^HTTP\/1\.1 5\d\d/);
          assert.doesNotMatch(answer, /access_token/);
        }),
        { numRuns: 50 },
      );
    });

    test('and a right request still gets its token', async () => {
      const scene = await world.scene();
      assert.equal((await send(scene.tokenEndpoint, makeRequest(scene))).status, 200);
    });

    async function holds<T>(arbitrary: fc.Arbitrary<T>, change: (value: T) => Parameters<typeof makeRequest>[1]) {
      await fc.assert(
        fc.asyncProperty(arbitrary, async (value) => {
          const scene = await world.scene();
          refused(await send(scene.tokenEndpoint, makeRequest(scene, change(value))));
        }),
        runs,
      );
    }

    function wrongProof(name: string, value: unknown): JwtChange {
      const { bareJwk } = world.client.bindingKey;
      // what happens to equal the right value is made wrong in another way
      if (name in bareJwk) return { header: { jwk: { ...bareJwk, [name]: value === bareJwk[name] ? 0 : value } } };
      if (['typ', 'alg', 'jwk'].includes(name)) return { header: { [name]: value } };
      return { claims: { [name]: typeof value === 'number' ? -1 : value } };
    }
  });
}

function refused(reply: Reply): void {
  assert.ok(reply.status >= 400 && reply.status < 500, `${reply.status} ${reply.body.slice(0, 300)}`);
  assert.equal(typeof reply.json?.error, 'string', reply.body.slice(0, 300));
  assert.equal(reply.json?.access_token, undefined);
  for (const value of Object.values(reply.json ?? {})) assert.match(String(value), /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/);
}

function raw(value: unknown, inHeader: boolean): JwtChange {
  const text = JSON.stringify(value);
  return inHeader ? { rawHeader: text } : { rawPayload: text };
}

function printable(): string[] {
  return Array.from({ length: 0x7f - 0x20 }, (_, index) => String.fromCharCode(0x20 + index));
}

/** Writes bytes to the socket and gives back whatever comes until it is closed or quiet. */
function rawExchange(endpoint: string, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(new URL(endpoint).port), '127.0.0.1', () => socket.end(bytes));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}
