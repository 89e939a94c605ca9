/** The receiver of security signals (RFC 8935, SSF 1.0, RFC 9493), to which a transmitter made of `jose` pushes. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateKeyPair, UnsecuredJWT } from 'jose';
import {
  type Claims,
  caep,
  issuer,
  type SignalSource,
  signalSource,
} from '../packages/server/src/testing/signal-source.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import { databases } from './world.ts';

for (const database of databases) {
  describe(`security signals that are heard, on ${database}`, () => {
    let idp: SignalSource;
    let client: TokenClient;
    let stranger: Awaited<ReturnType<typeof generateKeyPair>>;
    before(async () => {
      idp = await signalSource({ database });
      client = await tokenClient(idp.server);
      stranger = await generateKeyPair('RS256');
    });
    after(() => idp.close());

    const good = (): Claims => idp.claimsOf(`${caep}session-revoked`, { format: 'opaque', id: 'x' });

    test('a SET is taken by 202 and nothing else, once, and what it says is done by then', async () => {
      const { body: before } = await client.send();
      const set = await idp.sign(idp.claimsOf(`${caep}session-revoked`, await idp.subjectOf(client.clientId)));
      assert.deepEqual(await idp.push(set), { status: 202, body: undefined });
      const revocations = async () =>
        (await idp.server.admin<{ items: unknown[] }>('GET', `/revocations?subject=${client.clientId}`)).items.length;
      assert.ok(before.access_token);
      assert.equal(await revocations(), 1);
      assert.equal((await idp.push(set)).status, 202);
      assert.equal(await revocations(), 1);
    });

    test('an agent is meant by each format that names it', async () => {
      const own = await idp.subjectOf(client.clientId);
      const { owner } = await idp.server.admin<{ owner: string }>('GET', `/agents/${client.clientId}`);
      const { email } = await idp.server.admin<{ email: string }>('GET', `/people/${owner}`);
      for (const subject of [
        own,
        { format: 'opaque', id: client.clientId },
        { format: 'uri', uri: own.sub },
        { format: 'email', email },
        { format: 'aliases', identifiers: [{ format: 'email', email: 'nobody@x.example' }, own] },
        { format: 'complex', user: { format: 'email', email }, device: own },
      ]) {
        const claims = await idp.tell('session-revoked', subject);
        assert.equal((await idp.outcome(claims.jti))?.length, 1, JSON.stringify(subject));
      }
      for (const subject of [
        { ...own, iss: issuer },
        { format: 'complex', user: { format: 'email', email: 'nobody@x.example' }, device: own },
      ]) {
        const claims = await idp.tell('session-revoked', subject);
        assert.deepEqual(await idp.outcome(claims.jti), [], JSON.stringify(subject));
      }
    });

    test('what is about the stream itself is taken, and asks for nothing', async () => {
      const type = 'https://schemas.openid.net/secevent/ssf/event-type/verification';
      const claims = idp.claimsOf(type, { format: 'opaque', id: 'their-stream' }, { state: 'x' });
      assert.equal((await idp.push(await idp.sign(claims))).status, 202);
      assert.deepEqual(await idp.outcome(claims.jti), []);
    });

    const later = () => Math.floor(idp.server.clock.now() / 1000) + 60;
    const refused: [what: string, set: () => string | Promise<string>, err: string][] = [
      ['no JWS', () => 'x', 'invalid_request'],
      ['one that is not signed', () => new UnsecuredJWT(good()).encode(), 'invalid_request'],
      ['one of another type', () => idp.sign(good(), { typ: 'at+jwt' }), 'invalid_request'],
      ['one by a key of somebody else', () => idp.sign(good(), {}, stranger.privateKey), 'invalid_key'],
      ['one of another issuer', () => idp.sign({ ...good(), iss: 'https://x.example' }), 'invalid_issuer'],
      ['one for somebody else', () => idp.sign({ ...good(), aud: 'https://x.example' }), 'invalid_audience'],
      ['one with sub', () => idp.sign({ ...good(), sub: 'x' }), 'invalid_request'],
      ['one with exp', () => idp.sign({ ...good(), exp: later() }), 'invalid_request'],
      ['one without jti', () => idp.sign({ ...good(), jti: undefined }), 'invalid_request'],
      ['one without iat', () => idp.sign({ ...good(), iat: undefined }), 'invalid_request'],
      ['one with two events', () => idp.sign({ ...good(), events: { a: {}, b: {} } }), 'invalid_request'],
      ['one without a subject', () => idp.sign({ ...good(), sub_id: undefined }), 'invalid_request'],
      [
        'a subject without its members',
        () => idp.sign({ ...good(), sub_id: { format: 'iss_sub' } }),
        'invalid_request',
      ],
      ['aliases in aliases', () => idp.sign({ ...good(), sub_id: aliases(aliases()) }), 'invalid_request'],
    ];
    for (const [what, set, err] of refused) {
      test(what, async () => {
        const { status, body } = await idp.push(await set());
        assert.deepEqual([status, body.err, typeof body.description], [400, err, 'string']);
      });
    }

    test('whoever does not show the header that was made for it', async () => {
      const { status, body } = await idp.push(await idp.sign(good()), idp.source, { authorization: 'Bearer x' });
      assert.deepEqual([status, body.err], [400, 'authentication_failed']);
    });
  });
}

const aliases = (inner: object = { format: 'opaque', id: 'x' }) => ({ format: 'aliases', identifiers: [inner] });
