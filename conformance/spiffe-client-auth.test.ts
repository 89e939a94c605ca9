/**
 * Workloads that prove themselves by their SVIDs: instances of our own, and those of a trust domain that this server knows.
 * @see draft-ietf-oauth-spiffe-client-auth
 */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createDpopProof, generateJwk, signerFrom } from '@bailiwick/protocol';
import { SignJWT, UnsecuredJWT } from 'jose';
import { makeRequest } from '../packages/server/src/testing/certificate-request.ts';
import { instanceClient } from '../packages/server/src/testing/instance-client.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import { type Identity, makeSpiffeAuthority, makeSvid } from './federation.ts';
import {
  assertFailed,
  type MutualTls,
  makeAuthority,
  makeCertificate,
  openMutualTls,
  payloadOf,
  type TestCertificate,
  type TlsReply,
} from './mutual-tls.ts';
import { databases } from './world.ts';

const minute = 60_000;
const partner = 'partner.example';
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';

type Jwk = Record<string, unknown>;

for (const database of databases) {
  describe(`SPIFFE client authentication on ${database}`, () => {
    let world: MutualTls;
    let authority: TestCertificate;
    let jwtKey: KeyObject;
    let jwtJwk: Jwk;
    let exact: TokenClient;
    let below: TokenClient;
    before(async () => {
      world = await openMutualTls(database);
      authority = await makeSpiffeAuthority(partner);
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      jwtKey = pair.privateKey;
      jwtJwk = pair.publicKey.export({ format: 'jwk' }) as Jwk;
      const { d: _, ...authorityJwk } = createPrivateKey(authority.key).export({ format: 'jwk' }) as Jwk;
      await world.server.admin('POST', '/trust-domains', {
        name: partner,
        bundle: {
          keys: [
            { use: 'x509-svid', ...authorityJwk, x5c: [authority.der.toString('base64')] },
            { use: 'jwt-svid', kid: 'one', ...jwtJwk },
          ],
        },
      });
      exact = await world.agent({ kind: 'spiffe_id', spiffe_id: `spiffe://${partner}/ns/app` });
      below = await world.agent({ kind: 'spiffe_id', spiffe_id: `spiffe://${partner}/ns/batch/*` });
    });
    after(() => world.close());

    const svid = (path: string, more: Parameters<typeof makeCertificate>[0] = {}) =>
      makeSvid(authority, `spiffe://${partner}${path}`, more);
    const now = () => world.clock.now();
    const seconds = () => Math.floor(now() / 1000);

    /** An instance of a new agent of ours, with its X.509-SVID and a JWT-SVID for us. */
    async function ownInstance() {
      const { there, set } = await instanceAtHome();
      const identity = await set();
      const id = identity.spiffeId.split('/').at(-1) as string;
      const client = instanceClient(world.server, there);
      return {
        ...identity,
        agent: there,
        end: () => client.call({ id, signer: identity.signer }, 'DELETE'),
        renew: (body: object) => client.call({ id, signer: identity.signer }, 'POST', '/renew', body),
      };
    }
    async function instanceAtHome() {
      const agent = await tokenClient(world.server);
      const client = instanceClient(world.server, agent);
      return {
        there: agent,
        async set(): Promise<Identity> {
          const jwk = await generateJwk('ES256');
          const signer = signerFrom(jwk);
          const body = { jwt_svid_audiences: [world.server.issuer] };
          const { answer } = await client.instance({ signer, body });
          const { spiffe_id, x509_svid, jwt_svids } = answer as {
            spiffe_id: string;
            x509_svid: { certificate_chain: string };
            jwt_svids: { token: string }[];
          };
          const key = createPrivateKey({ key: { ...jwk }, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' });
          const certificate = { chain: x509_svid.certificate_chain, key: key as string };
          return { spiffeId: spiffe_id, jwt: jwt_svids[0]?.token as string, certificate, signer };
        },
      };
    }

    const shown = (certificate: { chain: string; key: string }) => certificate as TestCertificate;

    async function proofBy(signer: Identity['signer']): Promise<string> {
      const htu = `${world.server.mtlsUrl}/oauth2/token`;
      const nonce = world.server.deps.nonces.current(now());
      return createDpopProof(signer, { htm: 'POST', htu, now: now(), jti: randomUUID(), nonce });
    }

    /** Asks for a token by a JWT-SVID, bound to a key of nobody's unless one is said. */
    async function byJwt(
      assertion: string,
      form: { client_id?: string } = {},
      signer?: Identity['signer'],
    ): Promise<TlsReply> {
      const dpop = await proofBy(signer ?? signerFrom(await generateJwk('ES256')));
      return world.token(
        undefined,
        { client_assertion_type: assertionType, client_assertion: assertion, ...form },
        { headers: { dpop } },
      );
    }

    interface Claims {
      claims?: Record<string, unknown>;
      header?: Record<string, unknown>;
      key?: KeyObject | Uint8Array;
    }
    /** A JWT-SVID of the partner for us, right but for what is said. */
    function jwtSvid({ claims = {}, header = {}, key = jwtKey }: Claims = {}): Promise<string> {
      const payload = {
        sub: `spiffe://${partner}/ns/app`,
        aud: [world.server.issuer],
        exp: seconds() + 300,
        ...claims,
      };
      return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'one', ...header }).sign(key);
    }

    test('an instance gets tokens by its X.509-SVID, as its agent or by its SPIFFE ID', async () => {
      const { agent, certificate, spiffeId } = await ownInstance();
      for (const client_id of [agent.clientId, spiffeId]) {
        const reply = await world.token(shown(certificate), { client_id });
        assert.equal(reply.status, 200, reply.text);
        const claims = payloadOf(reply.json.access_token);
        assert.equal(claims.client_id, agent.clientId);
        assert.equal(claims.sub, spiffeId);
        assert.equal(claims.instance, spiffeId.split('/').at(-1));
        assert.deepEqual(Object.keys(claims.cnf as object), ['x5t#S256']);
        const { json } = await world.post('/oauth2/introspect', shown(certificate), {
          client_id,
          token: reply.json.access_token,
        });
        assert.equal(json.active, true);
        assert.deepEqual(json.cnf, claims.cnf);
      }
    });

    test('an instance gets tokens by its JWT-SVID, for its own key, as often as the JWT-SVID lives', async () => {
      const { agent, jwt, signer, spiffeId, certificate } = await ownInstance();
      for (const form of [{}, { client_id: agent.clientId }, { client_id: spiffeId }]) {
        const reply = await byJwt(jwt, form, signer);
        assert.equal(reply.status, 200, `${reply.text} ${world.lastReason()}`);
        const claims = payloadOf(reply.json.access_token);
        assert.equal(claims.sub, spiffeId);
        assert.deepEqual(Object.keys(claims.cnf as object), ['jkt']);
        const asking = { client_assertion_type: assertionType, client_assertion: jwt, token: reply.json.access_token };
        assert.equal((await world.post('/oauth2/introspect', shown(certificate), asking)).json.active, true);
      }
    });

    test('a JWT-SVID of an instance is worth nothing to whoever has another key', async () => {
      const { jwt, agent } = await ownInstance();
      assertFailed(await byJwt(jwt));
      assert.equal(world.lastReason(), 'the key of somebody else');
      const certificate = await makeCertificate({ subject: 'CN=thief' });
      const form = { client_assertion_type: assertionType, client_assertion: jwt, client_id: agent.clientId };
      assertFailed(await world.token(certificate, form));
      assertFailed(await world.token(undefined, form));
    });

    test('a JWT-SVID of an instance neither shows nor ends a token without the key, whatever is sent beside it', async () => {
      const { jwt, agent, signer, certificate } = await ownInstance();
      const token = (await byJwt(jwt, {}, signer)).json.access_token as string;
      const form = { client_assertion_type: assertionType, client_assertion: jwt, client_id: agent.clientId, token };
      const thief = await makeCertificate({ subject: 'CN=thief' });
      const dpop = await proofBy(signer); // as it may have been seen somewhere: nobody verifies it here
      for (const endpoint of ['introspect', 'revoke']) {
        for (const more of [{}, { grant_type: 'client_credentials' }] as Record<string, string>[]) {
          for (const by of [undefined, thief]) {
            assertFailed(await world.post(`/oauth2/${endpoint}`, by, { ...form, ...more }));
            assert.equal(world.lastReason(), 'the key of somebody else');
          }
          assertFailed(await world.post(`/oauth2/${endpoint}`, undefined, { ...form, ...more }, { headers: { dpop } }));
        }
      }
      const body = { client_assertion_type: assertionType, client_assertion: jwt };
      const headers = { 'content-type': 'application/json', dpop };
      const init = { method: 'POST', headers, body: JSON.stringify(body) };
      assert.equal((await fetch(`${world.server.issuer}/instances`, init)).status, 401);
      assert.equal((await world.post('/oauth2/introspect', shown(certificate), form)).json.active, true);
      assert.equal((await world.post('/oauth2/revoke', shown(certificate), form)).status, 200);
      assert.equal((await world.post('/oauth2/introspect', shown(certificate), form)).json.active, false);
    });

    test('a workload of the partner gets tokens by its X.509-SVID', async () => {
      for (const [client, path] of [
        [exact, '/ns/app'],
        [below, '/ns/batch/one'],
        [below, '/ns/batch/deep/two'],
      ] as const) {
        const certificate = await svid(path);
        for (const client_id of [`spiffe://${partner}${path}`, client.clientId]) {
          const reply = await world.token(certificate, { client_id });
          assert.equal(reply.status, 200, `${reply.text} ${world.lastReason()}`);
          const claims = payloadOf(reply.json.access_token);
          assert.equal(claims.client_id, client.clientId);
          assert.equal(claims.instance, undefined);
          assert.deepEqual(claims.cnf, { 'x5t#S256': certificate.x5t });
        }
      }
    });

    test('a workload of the partner gets tokens by its JWT-SVID, without iss or jti', async () => {
      const jwt = await jwtSvid();
      for (const form of [{}, { client_id: exact.clientId }, { client_id: `spiffe://${partner}/ns/app` }]) {
        const reply = await byJwt(jwt, form);
        assert.equal(reply.status, 200, `${reply.text} ${world.lastReason()}`);
        assert.equal(payloadOf(reply.json.access_token).client_id, exact.clientId);
      }
      const asString = await jwtSvid({ claims: { aud: world.server.issuer, iss: 'https://spire.example', jti: 'x' } });
      assert.equal((await byJwt(asString)).status, 200);
    });

    test('the longest pattern wins over a shorter one, and an exact name over both', async () => {
      const all = await world.agent({ kind: 'spiffe_id', spiffe_id: `spiffe://${partner}/*` });
      const one = await world.agent({ kind: 'spiffe_id', spiffe_id: `spiffe://${partner}/ns/batch/named` });
      for (const [path, client] of [
        ['/else', all],
        ['/ns/batch/other', below],
        ['/ns/batch/named', one],
      ] as const) {
        const reply = await world.token(await svid(path), { client_id: `spiffe://${partner}${path}` });
        assert.equal(payloadOf(reply.json.access_token).client_id, client.clientId, path);
      }
      await world.server.admin('DELETE', `/credentials/${all.added}`);
    });

    test('a certificate works for as long as its key is the one of a living instance', async () => {
      const renewed = await ownInstance();
      const ask = () => world.token(shown(renewed.certificate), { client_id: renewed.spiffeId });
      assert.equal((await renewed.renew({})).status, 200);
      assert.equal((await ask()).status, 200);
      assert.equal((await renewed.renew({ csr: (await makeRequest()).pem })).status, 200);
      assertFailed(await ask());
      assert.equal(world.lastReason(), 'spiffe_x509: nobody has this SPIFFE ID');
      const ended = await ownInstance();
      await ended.end();
      assertFailed(await world.token(shown(ended.certificate), { client_id: ended.spiffeId }));
      assertFailed(await byJwt(ended.jwt, {}, ended.signer));
      const suspended = await ownInstance();
      for (const order of ['suspend', 'resume']) {
        await world.server.admin('POST', `/agents/${suspended.agent.clientId}/${order}`);
        assertFailed(await world.token(shown(suspended.certificate), { client_id: suspended.spiffeId }));
      }
      const over = await ownInstance();
      world.clock.advance(61 * minute);
      assertFailed(await world.token(shown(over.certificate), { client_id: over.spiffeId }));
      assert.equal(world.lastReason(), 'spiffe_x509: expired');
    });

    describe('an X.509-SVID is refused:', () => {
      interface Sent {
        certificate: { chain: string; key: string };
        client_id: string;
      }
      const app = `spiffe://${partner}/ns/app`;
      const partners =
        (path: string, more: Parameters<typeof makeCertificate>[0] = {}, client_id?: string) =>
        async () => ({
          certificate: await svid(path, more),
          client_id: client_id ?? `spiffe://${partner}${path}`,
        });
      const named = (...uris: string[]) =>
        partners('/ns/app', { names: uris.map((uri) => ['url', uri] as ['url', string]) }, app);
      const own = (change: (identity: Awaited<ReturnType<typeof ownInstance>>) => string) => async () => {
        const identity = await ownInstance();
        return { certificate: identity.certificate, client_id: change(identity) };
      };

      const rows: [string, () => Promise<Sent>, string][] = [
        ['expired', partners('/ns/app', { until: Date.UTC(2020, 1) }), 'expired'],
        ['not valid yet', partners('/ns/app', { from: Date.UTC(2040, 1) }), 'not_yet_valid'],
        [
          'of a trust domain that nobody knows',
          async () => ({
            certificate: await makeSvid(authority, 'spiffe://elsewhere.example/ns/app'),
            client_id: 'spiffe://elsewhere.example/ns/app',
          }),
          'unknown_trust_domain',
        ],
        [
          'of our own trust domain, by the authority of the partner',
          async () => {
            const { spiffeId } = await ownInstance();
            return { certificate: await makeSvid(authority, spiffeId), client_id: spiffeId };
          },
          'unknown_ca',
        ],
        [
          'of the partner, by an unknown authority',
          async () => ({ certificate: await makeSvid(await makeAuthority('CN=Authority'), app), client_id: app }),
          'unknown_ca',
        ],
        [
          'of the partner, signed by itself',
          async () => ({ certificate: await makeCertificate({ names: [['url', app]] }), client_id: app }),
          'unknown_ca',
        ],
        ['with two URIs', named(app, `spiffe://${partner}/ns/batch/one`), 'uri_names'],
        ['with another URI beside the SPIFFE ID', named(app, 'https://app.example'), 'uri_names'],
        ['that names the trust domain alone', named(`spiffe://${partner}`), 'bad_spiffe_id'],
        ['in capitals', named(`SPIFFE://${partner}/ns/app`), 'bad_spiffe_id'],
        ['with a trust domain in capitals', named('spiffe://Partner.example/ns/app'), 'bad_spiffe_id'],
        ['with a port', named(`spiffe://${partner}:443/ns/app`), 'bad_spiffe_id'],
        ['with a user', named(`spiffe://root@${partner}/ns/app`), 'bad_spiffe_id'],
        ['with a slash at its end', named(`${app}/`), 'bad_spiffe_id'],
        ['with two slashes', named(`spiffe://${partner}/ns//app`), 'bad_spiffe_id'],
        ['with dots', named(`spiffe://${partner}/ns/x/../app`), 'bad_spiffe_id'],
        ['with percent-encoding', named(`spiffe://${partner}/ns/%61pp`), 'bad_spiffe_id'],
        ['with a query', named(`${app}?x`), 'bad_spiffe_id'],
        ['whose path is in other capitals', partners('/ns/App'), 'unknown_trust_domain'],
        ['that only begins like a registered one', partners('/ns/apps'), 'unknown_trust_domain'],
        ['that is below a registered one', partners('/ns/app/x'), 'unknown_trust_domain'],
        ['that is a pattern without anything below', partners('/ns/batch'), 'unknown_trust_domain'],
        ['that only begins like a pattern', partners('/ns/batches/one'), 'unknown_trust_domain'],
        ['with the CA flag', partners('/ns/app', { ca: true }), 'ca_leaf'],
        ['with an RSA key of 1024 bits', partners('/ns/app', { alg: 'RSA-1024' }), 'weak_key'],
        ['with a key that is not for signatures', partners('/ns/app', { usages: [] }), 'key_usage'],
        [
          'for another SPIFFE ID than client_id says',
          partners('/ns/batch/one', {}, app),
          'client_id is not the SPIFFE ID',
        ],
        [
          'for another agent than client_id says',
          async () => ({ certificate: await svid('/ns/app'), client_id: below.clientId }),
          'unknown_trust_domain',
        ],
        ['of an instance, for another agent', own(() => exact.clientId), 'the SVID of somebody else'],
        [
          'of an instance, with client_id in capitals',
          own(({ spiffeId }) => spiffeId.toUpperCase()),
          'the SVID of somebody else',
        ],
        [
          'of an instance, with the client_id of its agent’s SPIFFE ID',
          own(({ spiffeId }) => spiffeId.slice(0, spiffeId.lastIndexOf('/'))),
          'client_id is not the SPIFFE ID',
        ],
        [
          'of an instance, with a slash behind client_id',
          own(({ spiffeId }) => `${spiffeId}/`),
          'client_id is not the SPIFFE ID',
        ],
      ];
      for (const [sentence, make, reason] of rows) {
        test(sentence, async () => {
          const { certificate, client_id } = await make();
          const weak = { tls: { ciphers: 'DEFAULT:@SECLEVEL=0' } };
          assertFailed(await world.token(shown(certificate), { client_id }, weak));
          assert.equal(world.lastReason(), `spiffe_x509: ${reason}`);
        });
      }

      test('the key of somebody else under the certificate of an instance', async () => {
        const { certificate, agent } = await ownInstance();
        const thief = await makeCertificate();
        const stolen = shown({ chain: certificate.chain, key: thief.key });
        await assert.rejects(world.token(stolen, { client_id: agent.clientId }));
      });
    });

    describe('a JWT-SVID is refused:', () => {
      const publicPem = () =>
        Buffer.from(
          generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' }),
        );
      const stranger = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

      const rows: [string, () => Promise<string>, string][] = [
        ['for another audience', () => jwtSvid({ claims: { aud: ['https://else.example'] } }), 'sole_audience'],
        [
          'for the token endpoint',
          () => jwtSvid({ claims: { aud: [`${world.server.issuer}/oauth2/token`] } }),
          'sole_audience',
        ],
        [
          'for us and another',
          () => jwtSvid({ claims: { aud: [world.server.issuer, 'https://else.example'] } }),
          'sole_audience',
        ],
        [
          'for us twice',
          () => jwtSvid({ claims: { aud: [world.server.issuer, world.server.issuer] } }),
          'sole_audience',
        ],
        ['for nobody', () => jwtSvid({ claims: { aud: [] } }), 'sole_audience'],
        ['without aud', () => jwtSvid({ claims: { aud: undefined } }), 'sole_audience'],
        ['without sub', () => jwtSvid({ claims: { sub: undefined } }), 'bad_spiffe_id'],
        ['without exp', () => jwtSvid({ claims: { exp: undefined } }), 'malformed'],
        ['expired', () => jwtSvid({ claims: { exp: seconds() - 31 } }), 'expired'],
        ['valid later', () => jwtSvid({ claims: { nbf: seconds() + 31 } }), 'not_yet_valid'],
        [
          'signed by nobody: alg none',
          async () =>
            new UnsecuredJWT({
              sub: `spiffe://${partner}/ns/app`,
              aud: world.server.issuer,
              exp: seconds() + 60,
            }).encode(),
          'malformed',
        ],
        [
          'an HMAC with a public key',
          async () => jwtSvid({ header: { alg: 'HS256' }, key: publicPem() }),
          'bad_signature',
        ],
        ['with a kid of nobody', () => jwtSvid({ header: { kid: 'two' } }), 'unknown_key'],
        ['without a kid', () => jwtSvid({ header: { kid: undefined } }), 'unknown_key'],
        ['by another key under a known kid', () => jwtSvid({ key: stranger() }), 'bad_signature'],
        ['by the key of the X.509 authority', () => jwtSvid({ key: createPrivateKey(authority.key) }), 'bad_signature'],
        ['with the typ of an access token', () => jwtSvid({ header: { typ: 'at+jwt' } }), 'malformed'],
        [
          'of a trust domain that nobody knows',
          () => jwtSvid({ claims: { sub: 'spiffe://elsewhere.example/ns/app' } }),
          'unknown_trust_domain',
        ],
        [
          'of our own trust domain, by the key of the partner',
          async () => jwtSvid({ claims: { sub: (await ownInstance()).spiffeId } }),
          'unknown_key',
        ],
        [
          'of a workload that nobody registered',
          () => jwtSvid({ claims: { sub: `spiffe://${partner}/ns/apps` } }),
          'unknown_trust_domain',
        ],
        [
          'with dots in its sub',
          () => jwtSvid({ claims: { sub: `spiffe://${partner}/ns/batch/../app` } }),
          'bad_spiffe_id',
        ],
        ['with a sub in capitals', () => jwtSvid({ claims: { sub: `SPIFFE://${partner}/ns/app` } }), 'bad_spiffe_id'],
        [
          'an access token in its place',
          async () => {
            const { agent, certificate } = await ownInstance();
            return (await world.token(shown(certificate), { client_id: agent.clientId })).json.access_token;
          },
          'sole_audience',
        ],
        [
          'a client assertion in its place',
          async () => (await exact.form()).client_assertion as string,
          'bad_spiffe_id',
        ],
        ['nothing that is a JWT', async () => 'nothing', 'malformed'],
      ];
      for (const [sentence, make, code] of rows) {
        test(sentence, async () => {
          assertFailed(await byJwt(await make()));
          assert.equal(world.lastReason(), `JWT-SVID ${code}`);
        });
      }

      test('living longer than five minutes', async () => {
        assert.equal((await byJwt(await jwtSvid({ claims: { exp: seconds() + 330 } }))).status, 200);
        assertFailed(await byJwt(await jwtSvid({ claims: { exp: seconds() + 332 } })));
        assert.equal(world.lastReason(), 'JWT-SVID lives_too_long');
      });

      test('with the client_id of another', async () => {
        assertFailed(await byJwt(await jwtSvid(), { client_id: `spiffe://${partner}/ns/batch/one` }));
        assert.equal(world.lastReason(), 'client_id is another');
        assertFailed(await byJwt(await jwtSvid(), { client_id: below.clientId }));
        assert.equal(world.lastReason(), 'JWT-SVID unknown_trust_domain');
      });

      test('without anything', async () => {
        const { status, json } = await world.token(undefined, { client_assertion_type: assertionType });
        assert.deepEqual([status, json.error], [400, 'invalid_request']);
      });

      test('beside another method', async () => {
        const form = { client_assertion_type: assertionType, client_assertion: await jwtSvid() };
        const basic = { headers: { authorization: `Basic ${Buffer.from('a:b').toString('base64')}` } };
        for (const reply of [
          await world.token(undefined, { ...form, client_secret: 'bws_x' }),
          await world.token(undefined, form, basic),
        ]) {
          assert.deepEqual([reply.status, reply.json.error], [400, 'invalid_request']);
        }
      });

      test('as a client assertion of the older kind', async () => {
        const { status, json } = await world.token(undefined, {
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: await jwtSvid(),
        });
        assert.deepEqual([status, json.error], [401, 'invalid_client']);
      });
    });

    test('a JWT-SVID is no access token', async () => {
      const { jwt, agent } = await ownInstance();
      const { client_assertion_type, client_assertion } = await agent.form();
      const form = { client_assertion_type, client_assertion, token: jwt } as Record<string, string>;
      assert.deepEqual((await world.post('/oauth2/introspect', undefined, form)).json, { active: false });
      for (const scheme of ['Bearer', 'DPoP']) {
        const headers = { authorization: `${scheme} ${jwt}` };
        assert.equal((await fetch(`${world.server.issuer}/admin/v1/agents`, { headers })).status, 401);
      }
    });

    test('a credential that was removed ends it for the partner’s workload', async () => {
      const client = await world.agent({ kind: 'spiffe_id', spiffe_id: `spiffe://${partner}/leaving` });
      const certificate = await svid('/leaving');
      const ask = () => world.token(certificate, { client_id: client.clientId });
      const { json } = await ask();
      await world.server.admin('DELETE', `/credentials/${client.added}`);
      assertFailed(await ask());
      const form = { ...(await client.form()), token: json.access_token } as Record<string, string>;
      assert.equal((await world.post('/oauth2/introspect', undefined, form)).json.active, false);
    });
  });
}
