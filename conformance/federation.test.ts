/**
 * Trust domains that know each other: bundles fetched from each other's endpoints, and identities of one that are known at
 * the other, while authorities come and go on both sides.
 */
import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk, signerFrom } from '@bailiwick/protocol';
import { importJWK, SignJWT } from 'jose';
import { tidy } from '../packages/server/src/jobs.ts';
import { bundlesAsked } from '../packages/server/src/svid/bundles.ts';
import type { TestCertificate } from '../packages/server/src/testing/certificates.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import {
  bundleOf,
  claimsOf,
  type Endpoint,
  json,
  makeSpiffeAuthority,
  makeSvid,
  openEndpoint,
  openTwoDomains,
  openWeb,
  type Traveller,
  type TrustDomain,
  type TwoDomains,
  tokenByCertificate,
  tokenByJwt,
  traveller,
  type Web,
} from './federation.ts';
import { databases } from './world.ts';

const minute = 60_000;
const hour = 60 * minute;

let web: Web;
before(async () => {
  web = await openWeb();
});
after(() => web.close());

for (const database of databases) {
  for (const profile of ['https_web', 'https_spiffe'] as const) {
    describe(`two servers federate over ${profile}, on ${database}`, () => {
      let two: TwoDomains;
      let westward: Traveller;
      let eastward: Traveller;
      before(async () => {
        two = await openTwoDomains(database, profile, web);
        for (const [one, other] of [
          [two.east, two.west],
          [two.west, two.east],
        ] as const) {
          const domain = await two.register(one, other);
          assert.equal(domain.status, 'current', JSON.stringify(domain));
          assert.equal(domain.fault, undefined);
          assert.equal(domain.bundle_endpoint.profile, profile);
        }
        westward = await traveller(two.east, two.west);
        eastward = await traveller(two.west, two.east);
      });
      after(() => two?.close());

      test('an identity of one gets bound tokens at the other, by JWT-SVID and by X.509-SVID', async () => {
        for (const there of [westward, eastward]) {
          const identity = await there.set();
          const byJwt = claimsOf(await there.byJwt(identity));
          assert.equal(byJwt.client_id, there.there.clientId);
          assert.ok((byJwt.cnf as { jkt?: string }).jkt);
          const byCertificate = claimsOf(await there.byCertificate(identity));
          assert.equal(byCertificate.client_id, there.there.clientId);
          assert.ok((byCertificate.cnf as Record<string, string>)['x5t#S256']);
        }
      });

      test('whoever rotates whatever, nobody is refused', async () => {
        const issuers = new Set<string>();
        for (let hours = 0; hours < 60; hours += 4) {
          if (hours === 4) {
            await two.west.admin('POST', '/certificate-authority/rotate', { what: 'root' });
            await two.west.admin('POST', '/certificate-authority/rotate', { what: 'jwt_svid_key' });
          }
          if (hours === 12) await two.west.admin('POST', '/certificate-authority/rotate', { what: 'intermediate' });
          await two.pass(4 * hour);
          const identity = await eastward.set();
          issuers.add(identity.certificate.chain.split('-----END CERTIFICATE-----')[1] ?? '');
          for (const reply of [await eastward.byJwt(identity), await eastward.byCertificate(identity)]) {
            assert.equal(reply.status, 200, `after ${hours} h: ${reply.text}`);
          }
        }
        assert.ok(issuers.size >= 3, `${issuers.size} authorities have signed`);
      });

      test('a trust domain that is removed takes with it what rested on it', async () => {
        const identity = await westward.set();
        const reply = await westward.byJwt(identity);
        assert.equal(reply.status, 200, reply.text);
        const [domain] = (await two.west.admin<{ items: TrustDomain[] }>('GET', '/trust-domains')).items;
        await two.west.admin('POST', `/trust-domains/${domain?.id}/remove`, { reason: 'the contract has ended' });
        assert.equal((await westward.byJwt(identity)).status, 401);
        assert.equal((await westward.byCertificate(identity)).status, 401);
        const credential = await two.west.admin('GET', `/credentials/${westward.credential}`);
        assert.equal(credential.status, 'removed');
        assert.deepEqual((await two.west.admin<{ items: TrustDomain[] }>('GET', '/trust-domains')).items, []);
      });
    });
  }

  describe(`a foreign bundle, on ${database},`, () => {
    const name = 'partner.example';
    const spiffeId = `spiffe://${name}/desk`;
    let server: TestServer;
    let node: TestServer;
    let client: TokenClient;
    let endpoint: Endpoint;
    let [first, second]: TestCertificate[] = [];
    let domain: TrustDomain;
    let sequence = 1;
    /** What the endpoint says from now on. */
    const publish = (...authorities: (TestCertificate | undefined)[]) => {
      const body = bundleOf(authorities as TestCertificate[], {
        spiffe_sequence: sequence++,
        spiffe_refresh_hint: 600,
      });
      endpoint.answer = json(body);
      return body;
    };
    const signedBy = async (authority: TestCertificate | undefined, at = server) =>
      tokenByCertificate(at, client, await makeSvid(authority as TestCertificate, spiffeId));
    const shown = () => server.admin<TrustDomain>('GET', `/trust-domains/${domain.id}`);
    const pass = async (ms: number) => {
      server.clock.advance(ms);
      await tidy(server.deps);
    };

    before(async () => {
      server = await startServer({ database, config: { outbound: { ca_file: web.caFile, timeout_seconds: 1 } } });
      node = await startServer({ joins: server, config: { outbound: { ca_file: web.caFile, timeout_seconds: 1 } } });
      endpoint = await openEndpoint(await web.certificate(), json({}));
      first = await makeSpiffeAuthority(name);
      second = await makeSpiffeAuthority(name);
      publish(first);
      domain = await server.admin('POST', '/trust-domains', { name, bundle_endpoint: { url: endpoint.url } });
      client = await tokenClient(server);
      await server.admin('POST', '/credentials', { agent: client.clientId, kind: 'spiffe_id', spiffe_id: spiffeId });
    });
    after(async () => {
      await endpoint.close();
      await node.close();
      await server.close();
    });

    test('is fetched when it is registered, and again as often as it says', async () => {
      assert.equal(domain.status, 'current', JSON.stringify(domain));
      assert.deepEqual(domain.bundle, {
        sequence: 1,
        refresh_hint_seconds: 600,
        x509_authorities: [first?.x5t],
        jwt_authorities: [],
      });
      assert.equal(endpoint.asked, 1);
      const dueIn = Date.parse(domain.refresh_at) - server.clock.now();
      assert.ok(dueIn > 9 * minute - 1 && dueIn <= 10 * minute, `${dueIn} ms`);
      assert.equal((await signedBy(first)).status, 200);
      await pass(8 * minute);
      assert.equal(endpoint.asked, 1, 'not before it is due');
      await pass(2 * minute);
      assert.equal(endpoint.asked, 2);
      assert.equal((await shown()).confirmed_at, new Date(server.clock.now()).toISOString());
      await tidy(node.deps);
      assert.equal(endpoint.asked, 2, 'one node is enough');
    });

    test('brings a new authority when that is first met, without waiting for its time', async () => {
      publish(first, second);
      assert.equal((await signedBy(second)).status, 401, 'the endpoint was asked a moment ago');
      server.clock.advance(minute);
      assert.equal((await signedBy(second)).status, 401, 'nobody waits for the endpoint');
      await bundlesAsked(server.deps);
      assert.equal((await signedBy(second)).status, 200, 'the next attempt finds it');
      assert.equal((await signedBy(second, node)).status, 200, 'on every node');
    });

    test('brings a new key for JWT-SVIDs as well', async () => {
      const key = await generateJwk('ES256');
      const now = server.clock.now() / 1000;
      const jwt = await new SignJWT({ sub: spiffeId, aud: server.issuer, exp: now + 240 })
        .setProtectedHeader({ alg: 'ES256', kid: 'next' })
        .sign(await importJWK({ ...key }, 'ES256'));
      const asked = async () => tokenByJwt(server, client, { jwt, signer: signerFrom(await generateJwk('ES256')) });
      server.clock.advance(minute);
      assert.equal((await asked()).status, 401, 'nobody knows the key');
      await bundlesAsked(server.deps);
      const { kid: _, alg: __, ...jwk } = publicJwk(key);
      const body = bundleOf([first, second] as TestCertificate[], {
        spiffe_sequence: sequence++,
        spiffe_refresh_hint: 600,
      });
      endpoint.answer = json({ ...body, keys: [...body.keys, { ...jwk, use: 'jwt-svid', kid: 'next' }] });
      server.clock.advance(minute);
      assert.equal((await asked()).status, 401, 'nobody waits for the endpoint');
      await bundlesAsked(server.deps);
      const reply = await asked();
      assert.equal(claimsOf(reply).client_id, client.clientId);
    });

    test('and an authority of nobody makes us ask at most every 30 seconds', async () => {
      const stranger = await makeSpiffeAuthority(name);
      server.clock.advance(minute);
      const before = endpoint.asked;
      const replies = await Promise.all([1, 2, 3, 4].map(() => signedBy(stranger)));
      assert.deepEqual(
        replies.map(({ status }) => status),
        [401, 401, 401, 401],
      );
      await signedBy(stranger, node);
      for (const { deps } of [server, node]) await bundlesAsked(deps);
      assert.equal(endpoint.asked, before + 1);
    });

    test('ends an authority at once, on every node', async () => {
      assert.equal((await signedBy(second, node)).status, 200);
      publish(first);
      await server.admin('POST', `/trust-domains/${domain.id}/refresh`);
      for (const at of [server, node]) {
        assert.equal((await signedBy(second, at)).status, 401);
        assert.equal((await signedBy(first, at)).status, 200);
      }
    });

    test('does not go back to an older sequence number', async () => {
      const old = { ...bundleOf([second as TestCertificate]), spiffe_sequence: 1 };
      endpoint.answer = json(old);
      const after = await server.admin<TrustDomain>('POST', `/trust-domains/${domain.id}/refresh`);
      assert.match(after.fault, /sequence number went back/);
      assert.deepEqual(after.bundle.x509_authorities, [first?.x5t]);
      assert.equal((await signedBy(second)).status, 401);
      assert.equal((await signedBy(first)).status, 200);
      const byHand = await server.admin<TrustDomain>('PATCH', `/trust-domains/${domain.id}`, { bundle: old });
      assert.equal(byHand.bundle.sequence, 1, 'unless an administrator says so');
      assert.equal((await signedBy(second)).status, 200);
      publish(first);
      await server.admin('POST', `/trust-domains/${domain.id}/refresh`);
    });

    test('is kept while its endpoint is away, for a day, and believed again when it is back', async () => {
      publish(first);
      await server.admin('POST', `/trust-domains/${domain.id}/refresh`);
      const { answer } = endpoint;
      endpoint.answer = (_, response) => response.writeHead(503).end();
      for (let hours = 0; hours < 23; hours += 1) await pass(hour);
      assert.match((await shown()).fault, /answered with 503/);
      assert.equal((await shown()).status, 'current');
      assert.equal((await signedBy(first)).status, 200);
      await pass(hour);
      assert.equal((await shown()).status, 'stale');
      for (const at of [server, node]) assert.equal((await signedBy(first, at)).status, 401);
      endpoint.answer = answer;
      await pass(hour);
      assert.equal((await shown()).fault, undefined);
      for (const at of [server, node]) assert.equal((await signedBy(first, at)).status, 200);
    });

    test('is known to the organization that registered it, and to no other', async () => {
      await server.admin('POST', '/organizations', { name: 'other' });
      const mine = bundleOf([second as TestCertificate]);
      await server.admin('POST', '/trust-domains?organization=other', { name, bundle: mine });
      assert.equal((await signedBy(second)).status, 401, 'others say nothing of our partners');
      assert.equal((await signedBy(first)).status, 200);
    });
  });

  describe(`an endpoint is not believed, on ${database}:`, () => {
    const name = 'partner.example';
    const endpointId = `spiffe://${name}/bundles`;
    const serverAuth = ['1.3.6.1.5.5.7.3.1'];
    let server: TestServer;
    let authority: TestCertificate;
    let certificate: TestCertificate;
    before(async () => {
      server = await startServer({
        database,
        config: { outbound: { ca_file: web.caFile, timeout_seconds: 1 } },
        resolve: async (host) => [
          {
            address:
              host === 'private.example' ? '10.0.0.1' : host === 'mapped.example' ? '::ffff:10.0.0.1' : '127.0.0.1',
            family: host === 'mapped.example' ? 6 : 4,
          },
        ],
      });
      authority = await makeSpiffeAuthority(name);
      certificate = await web.certificate();
    });
    after(() => server.close());

    const good = () => bundleOf([authority]);
    const deep = (levels: number) => `{"keys":[],"x":${'['.repeat(levels)}${']'.repeat(levels)}}`;

    /** What an administrator hears who registers it. */
    async function heard(bundle_endpoint: object, more: object = {}): Promise<string> {
      const body = JSON.stringify({ name, bundle_endpoint, ...more });
      const headers = { 'content-type': 'application/json' };
      const response = await server.agent.fetch(`${server.issuer}/admin/v1/trust-domains`, {
        method: 'POST',
        body,
        headers,
      });
      const answer = (await response.json()) as TrustDomain;
      if (response.status !== 201) return `${response.status} ${answer.detail}`;
      await server.admin('POST', `/trust-domains/${answer.id}/remove`);
      return `${answer.status}: ${answer.fault}`;
    }

    const answers: [sentence: string, answer: RequestListener, hears: RegExp][] = [
      [
        'it redirects',
        (_, r) => r.writeHead(302, { location: 'https://localhost/' }).end(),
        /^waiting: .*redirect \(302\)/,
      ],
      ['it answers 404', (_, r) => r.writeHead(404).end(), /^waiting: .*answered with 404/],
      ['it answers nothing', () => {}, /^waiting: .*did not answer in full within 1 s/],
      [
        'it answers 100 MB',
        (_, r) => {
          r.writeHead(200, { 'content-type': 'application/json' });
          const more = () => {
            while (!r.destroyed && r.write(Buffer.alloc(65_536, ' ')));
            if (!r.destroyed) r.once('drain', more);
          };
          more();
        },
        /^waiting: .*sent more than 524288 bytes/,
      ],
      [
        'it answers with a page',
        (_, r) => r.writeHead(200, { 'content-type': 'text/html' }).end('{}'),
        /^waiting: .*did not send/,
      ],
      ['no JSON', json('keys: []'), /^waiting: .*not JSON/],
      [
        'no UTF-8',
        (_, r) => r.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from([0x22, 0xff, 0x22])),
        /^waiting: .*UTF-8/,
      ],
      ['deep JSON', json(deep(20)), /^waiting: .*16 levels deep/],
      ['very deep JSON', json(deep(100_000)), /^waiting: .*levels deep|not JSON/],
      ['no JWK set', json({ kesy: [] }), /^waiting: .*JWK set/],
      [
        'a private key',
        json({ keys: [{ ...good, use: 'jwt-svid', kid: 'a', kty: 'EC', d: 'AQ' }] }),
        /^waiting: .*private key/,
      ],
      ['a symmetric key', json({ keys: [{ use: 'jwt-svid', kid: 'a', kty: 'oct' }] }), /^waiting: .*symmetric/],
    ];
    for (const [sentence, answer, hears] of answers) {
      test(sentence, async () => {
        const endpoint = await openEndpoint(certificate, answer);
        assert.match(await heard({ url: endpoint.url }), hears);
        await endpoint.close();
      });
    }

    const made: [sentence: string, make: () => Promise<unknown>, hears: RegExp][] = [
      ['a certificate that is none of an authority', async () => bundleOf([certificate]), /not one of an authority/],
      [
        'an authority of another trust domain',
        async () => bundleOf([await makeSpiffeAuthority('rogue.example')]),
        /another trust domain/,
      ],
      ['two keys of one kid', async () => ({ keys: [await jwtKey('a'), await jwtKey('a')] }), /one kid/],
      ['a sequence number that is none', async () => ({ ...good(), spiffe_sequence: 'last' }), /spiffe_sequence/],
      [
        'a key that is not the one in its certificate',
        async () => {
          const [rogue] = bundleOf([await makeSpiffeAuthority(name)]).keys;
          const [key] = good().keys;
          return { keys: [{ ...rogue, x5c: key?.x5c }] };
        },
        /another one than in its certificate/,
      ],
    ];
    for (const [sentence, make, hears] of made) {
      test(sentence, async () => {
        const endpoint = await openEndpoint(certificate, json(await make()));
        assert.match(await heard({ url: endpoint.url }), hears);
        await endpoint.close();
      });
    }

    const urls: [sentence: string, url: string, hears: RegExp][] = [
      ['plain http', 'http://localhost/bundle', /^422 .*url must begin with https/],
      ['credentials in its URL', 'https://ada:secret@localhost/bundle', /^422 .*user name or password/],
      ['a private address', 'https://192.168.1.1/bundle', /^422 .*not public/],
      ['a name that leads to a private address', 'https://private.example/bundle', /^422 .*leads to an address/],
      [
        'a name that leads to a private address mapped into IPv6',
        'https://mapped.example/bundle',
        /^422 .*leads to an address/,
      ],
      ['nobody is there', 'https://localhost:1/bundle', /^waiting: .*can't be connected to/],
    ];
    for (const [sentence, url, hears] of urls) test(sentence, async () => assert.match(await heard({ url }), hears));

    const webCertificates: [sentence: string, more: Parameters<Web['certificate']>[0]][] = [
      ['an expired certificate', { until: Date.UTC(2001, 0) }],
      ['the certificate of another host', { names: [['dns', 'else.example']] }],
      ['a certificate that nobody of the Web issued', { issuer: undefined, subject: 'CN=localhost' }],
    ];
    for (const [sentence, more] of webCertificates) {
      test(sentence, async () => {
        const endpoint = await openEndpoint(await web.certificate(more), json(good()));
        assert.match(await heard({ url: endpoint.url }), /^waiting: .*not to be trusted/);
        await endpoint.close();
      });
    }

    const svids: [sentence: string, make: () => Promise<TestCertificate>, hears: RegExp][] = [
      [
        'the SPIFFE ID of somebody else',
        () => makeSvid(authority, `spiffe://${name}/else`, { purposes: serverAuth }),
        /not of spiffe/,
      ],
      [
        'the SPIFFE ID of another trust domain',
        () => makeSvid(authority, 'spiffe://rogue.example/bundles', { purposes: serverAuth }),
        /not of spiffe/,
      ],
      [
        'an SVID of an unknown authority',
        async () => makeSvid(await makeSpiffeAuthority(name), endpointId, { purposes: serverAuth }),
        /not who it should be/,
      ],
      [
        'an expired SVID',
        () => makeSvid(authority, endpointId, { purposes: serverAuth, until: Date.UTC(2001, 0) }),
        /not who it should be/,
      ],
      ['an SVID for clients', () => makeSvid(authority, endpointId), /not who it should be/],
      ['a certificate of the Web where an SVID should be', () => web.certificate(), /not who it should be/],
    ];
    for (const [sentence, make, hears] of svids) {
      test(sentence, async () => {
        const endpoint = await openEndpoint(await make(), json(good()));
        const bundle_endpoint = { url: endpoint.url, profile: 'https_spiffe', spiffe_id: endpointId };
        const says = await heard(bundle_endpoint, { bundle: good() });
        assert.match(says, hears);
        assert.match(says, /^current: /, 'what an administrator gave stays');
        assert.equal(endpoint.asked, 0, 'nothing is asked of who is not the endpoint');
        await endpoint.close();
      });
    }

    test('the right SVID is believed, and needs nobody of the Web', async () => {
      const endpoint = await openEndpoint(
        await makeSvid(authority, endpointId, { purposes: serverAuth }),
        json(good()),
      );
      const bundle_endpoint = { url: endpoint.url, profile: 'https_spiffe', spiffe_id: endpointId };
      assert.equal(await heard(bundle_endpoint, { bundle: good() }), 'current: undefined');
      assert.equal(endpoint.asked, 1);
      await endpoint.close();
    });

    const wrong: [sentence: string, body: object, hears: RegExp][] = [
      ['no endpoint and no bundle', {}, /^422 bundle is needed where no bundle_endpoint/],
      [
        'https_spiffe without the SPIFFE ID',
        { bundle_endpoint: { url: 'https://localhost:1', profile: 'https_spiffe' } },
        /^422 bundle_endpoint.spiffe_id is needed/,
      ],
      [
        'https_spiffe without the first bundle',
        { bundle_endpoint: { url: 'https://localhost:1', profile: 'https_spiffe', spiffe_id: endpointId } },
        /^422 bundle is needed/,
      ],
      [
        'https_web with a SPIFFE ID',
        { bundle_endpoint: { url: 'https://localhost:1', spiffe_id: endpointId } },
        /^422 bundle_endpoint.spiffe_id is for https_spiffe/,
      ],
      ['our own trust domain', { name: 'localhost', bundle: { keys: [] } }, /^422 name is this server/],
      [
        'a name that is none',
        { name: 'Partner.example', bundle: { keys: [] } },
        /^400 name must be the name of a trust domain/,
      ],
      [
        'a rogue key given by hand',
        { bundle: { keys: [{ use: 'jwt-svid', kid: 'a', kty: 'oct' }] } },
        /^422 bundle .*symmetric/,
      ],
    ];
    for (const [sentence, body, hears] of wrong) {
      test(sentence, async () => assert.match(await heard(undefined as unknown as object, body), hears));
    }
  });
}

async function jwtKey(kid: string) {
  const { use: _, ...jwk } = publicJwk(await generateJwk('ES256'));
  return { ...jwk, use: 'jwt-svid', kid };
}
