/** SETs that are refused, and why. @see RFC 8935 §2.4 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { databases } from '../testing/harness.ts';
import { caep, type SignalSource, signalSource } from '../testing/signal-source.ts';

for (const database of databases) {
  describe(`signals that are refused, on ${database}`, () => {
    let idp: SignalSource;
    let stranger: Awaited<ReturnType<typeof generateKeyPair>>;
    before(async () => {
      idp = await signalSource({ database });
      stranger = await generateKeyPair('RS256');
    });
    after(() => idp.close());

    describe('refused', () => {
      const good = () => idp.claimsOf(`${caep}session-revoked`, { format: 'opaque', id: 'x' });
      const deep = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
      const nested = (depth: number) => JSON.parse(deep(depth));
      const table: [string, () => Promise<string> | string, string][] = [
        ['nothing', () => '', 'invalid_request'],
        ['no JWS', () => 'a.b', 'invalid_request'],
        ['JSON', () => JSON.stringify(good()), 'invalid_request'],
        ['alg none', () => new UnsecuredJWT(good()).encode(), 'invalid_request'],
        [
          'alg none that names its type',
          () =>
            `${Buffer.from('{"alg":"none","typ":"secevent+jwt"}').toString('base64url')}.${Buffer.from(JSON.stringify(good())).toString('base64url')}.`,
          'invalid_request',
        ],
        [
          'a secret as the key',
          async () =>
            new SignJWT(good())
              .setProtectedHeader({ alg: 'HS256', kid: 'one', typ: 'secevent+jwt' })
              .sign(Buffer.from(JSON.stringify(idp.other.jwks[0]))),
          'invalid_key',
        ],
        ['a stranger’s signature', () => idp.sign(good(), {}, stranger.privateKey), 'invalid_key'],
        ['a key that nobody knows', () => idp.sign(good(), { kid: 'nobody' }), 'invalid_key'],
        ['another type', () => idp.sign(good(), { typ: 'at+jwt' }), 'invalid_request'],
        ['no type', () => idp.sign(good(), { typ: undefined }), 'invalid_request'],
        ['another issuer', () => idp.sign({ ...good(), iss: 'https://other.example' }), 'invalid_issuer'],
        ['no issuer', () => idp.sign({ ...good(), iss: undefined }), 'invalid_issuer'],
        ['another audience', () => idp.sign({ ...good(), aud: 'https://other.example' }), 'invalid_audience'],
        ['no audience', () => idp.sign({ ...good(), aud: undefined }), 'invalid_audience'],
        ['a subject in sub', () => idp.sign({ ...good(), sub: 'x' }), 'invalid_request'],
        [
          'an end',
          () => idp.sign({ ...good(), exp: Math.floor(idp.server.clock.now() / 1000) + 60 }),
          'invalid_request',
        ],
        ['no time', () => idp.sign({ ...good(), iat: undefined }), 'invalid_request'],
        ['a time that is text', () => idp.sign({ ...good(), iat: 'now' as unknown as number }), 'invalid_request'],
        [
          'the future',
          () => idp.sign({ ...good(), iat: Math.floor(idp.server.clock.now() / 1000) + 120 }),
          'invalid_request',
        ],
        [
          'a week ago',
          () => idp.sign({ ...good(), iat: Math.floor(idp.server.clock.now() / 1000) - 8 * 86_400 }),
          'invalid_request',
        ],
        ['no id', () => idp.sign({ ...good(), jti: undefined }), 'invalid_request'],
        ['a long id', () => idp.sign({ ...good(), jti: 'a'.repeat(257) }), 'invalid_request'],
        ['no subject', () => idp.sign({ ...good(), sub_id: undefined }), 'invalid_request'],
        ['a subject that is text', () => idp.sign({ ...good(), sub_id: 'x' }), 'invalid_request'],
        ['no events', () => idp.sign({ ...good(), events: undefined }), 'invalid_request'],
        ['two events', () => idp.sign({ ...good(), events: { a: {}, b: {} } }), 'invalid_request'],
        [
          'an event that nests without end',
          () => idp.sign({ ...good(), events: { a: { b: nested(500) } } }),
          'invalid_request',
        ],
        ['text that is no Unicode', () => idp.sign({ ...good(), events: { a: { b: '\ud800' } } }), 'invalid_request'],
        ['an event with a NUL', () => idp.sign({ ...good(), events: { 'a\u0000': {} } }), 'invalid_request'],
        ['an event that is text', () => idp.sign({ ...good(), events: { a: 'x' } }), 'invalid_request'],
        ['what is huge', () => idp.sign({ ...good(), more: 'a'.repeat(40_000) }), 'invalid_request'],
        [
          'a subject that nests',
          () =>
            idp.sign({
              ...good(),
              sub_id: { format: 'complex', user: { format: 'complex', user: { format: 'opaque', id: 'x' } } },
            }),
          'invalid_request',
        ],
        [
          'a subject that nests without end',
          () =>
            idp.signText(
              JSON.stringify({ ...good(), sub_id: { format: 'opaque' } }).replace(
                '"opaque"',
                `"opaque","id":${deep(2000)}`,
              ),
            ),
          'invalid_request',
        ],
      ];
      for (const [what, made, err] of table) {
        test(what, async () => {
          const { status, body } = await idp.push(await made());
          assert.deepEqual([status, body.err], [400, err], JSON.stringify(body));
          assert.equal(typeof body.description, 'string');
        });
      }

      test('whoever does not show what was made for the source', async () => {
        const set = await idp.sign(good());
        for (const headers of [
          { authorization: 'Bearer x' },
          { authorization: '' },
          { authorization: idp.source.secret.toLowerCase() },
        ]) {
          assert.deepEqual((await idp.push(set, idp.source, headers)).body.err, 'authentication_failed');
        }
        const nowhere = {
          ...idp.source,
          push_url: idp.source.push_url.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
        };
        assert.equal((await idp.push(set, nowhere)).body.err, 'authentication_failed');
      });

      test('another content type', async () => {
        const { status, body } = await idp.push(await idp.sign(good()), idp.source, {
          'content-type': 'application/json',
        });
        assert.deepEqual([status, body.err], [400, 'invalid_request']);
      });

      test('a source that was removed', async () => {
        const gone = await idp.made({});
        await idp.server.admin('DELETE', `/signal-sources/${gone.id}`);
        assert.equal((await idp.push(await idp.sign(good()), gone)).body.err, 'authentication_failed');
      });
    });
  });
}
