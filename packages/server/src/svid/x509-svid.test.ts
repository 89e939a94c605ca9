import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import { generateJwk, type JwsAlgorithm, jwsAlgorithms, type PublicJwk, publicJwk } from '@bailiwick/protocol';
import { signingAuthority } from '../keys/ca.ts';
import { asOf } from '../liveness/liveness.ts';
import { ecKeys, named, rsaKeys } from '../testing/crafted-certificate.ts';
import { startServer, type TestServer } from '../testing/harness.ts';
import { issueX509Svid, type X509SvidRequest } from './x509-svid.ts';

const hour = 3_600_000;
const trustDomain = 'agents.example.com';
let server: TestServer;
let publicKey: PublicJwk;
before(async () => {
  server = await startServer({ config: { trust_domain: trustDomain } });
  publicKey = publicJwk(await generateJwk('ES256'));
});
after(() => server.close());

const issue = async (change: Partial<X509SvidRequest> = {}) => {
  const { version } = await asOf(server.deps.db);
  return issueX509Svid(server.deps, version, {
    spiffeId: `spiffe://${trustDomain}/home/agent/ins_1`,
    publicKey,
    notAfter: server.clock.now() + hour,
    template: 'instance',
    ...change,
  });
};

test('what each template lets a certificate say, as OpenSSL reads it', async () => {
  const cases: [Partial<X509SvidRequest>, string][] = [
    [{}, `URI:spiffe://${trustDomain}/home/agent/ins_1`],
    [
      { dnsNames: ['a.example.com', '*.example.com'] },
      `URI:spiffe://${trustDomain}/home/agent/ins_1, DNS:a.example.com, DNS:*.example.com`,
    ],
    [
      {
        template: 'server',
        spiffeId: `spiffe://${trustDomain}/_bailiwick/server`,
        dnsNames: ['localhost'],
        ipAddresses: ['127.0.0.1', '::1', '2001:db8::7'],
      },
      `URI:spiffe://${trustDomain}/_bailiwick/server, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:2001:DB8:0:0:0:0:0:7`,
    ],
  ];
  for (const [change, names] of cases) {
    const svid = await issue(change);
    const [leaf, intermediate] = svid.der.map((der) => new X509Certificate(der)) as [X509Certificate, X509Certificate];
    assert.equal(leaf.subjectAltName, names);
    assert.equal(leaf.ca, false);
    assert.ok(leaf.checkIssued(intermediate) && leaf.verify(intermediate.publicKey));
    assert.equal(leaf.validToDate.getTime(), svid.notAfter);
    assert.equal(svid.notAfter, server.clock.now() + hour);
    assert.ok(svid.notBefore < server.clock.now() && svid.notBefore >= server.clock.now() - 10 * 60_000);
    assert.equal(svid.certificate, leaf.toString());
    assert.equal(svid.chain, leaf.toString() + intermediate.toString());
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  }
});

test('every kind of key that an instance may have, and a serial number that comes once', async () => {
  const serials = new Set<string>();
  for (const alg of jwsAlgorithms as readonly JwsAlgorithm[]) {
    const key = publicJwk(await generateJwk(alg));
    const svid = await issue({ publicKey: key });
    serials.add(svid.serial);
    const { kty, crv, x, y, n, e } = key;
    const required = Object.fromEntries(Object.entries({ kty, crv, x, y, n, e }).filter(([, value]) => value));
    assert.deepEqual(new X509Certificate(svid.der[0] as Buffer).publicKey.export({ format: 'jwk' }), required);
  }
  assert.equal(serials.size, jwsAlgorithms.length);
});

test('a lifetime is whole seconds, never longer than asked for', async () => {
  const svid = await issue({ notAfter: server.clock.now() + 90_999 });
  assert.equal(svid.notAfter, server.clock.now() + 90_000);
  assert.ok(await issue({ notAfter: server.clock.now() + 24 * hour }));
});

const jwkOf = (keys: { publicKey: { export(options: { format: 'jwk' }): object } }) =>
  keys.publicKey.export({ format: 'jwk' }) as PublicJwk;
const at = (path: string) => `spiffe://${trustDomain}${path}`;
const refused: [string, () => Partial<X509SvidRequest>][] = [
  ['another trust domain', () => ({ spiffeId: 'spiffe://other.example/home/agent/ins_1' })],
  ['the trust domain itself', () => ({ spiffeId: at('') })],
  ['tricks in the path', () => ({ spiffeId: at('/home/agent/../ins_1') })],
  ['an instance without its id', () => ({ spiffeId: at('/home/agent') })],
  ['an instance with one segment more', () => ({ spiffeId: at('/home/agent/ins_1/child') })],
  ['the server’s own name for an instance', () => ({ spiffeId: at('/_bailiwick/server/ins_1') })],
  ['an agent’s name for the server', () => ({ spiffeId: at('/home/agent'), template: 'server' })],
  ['addresses for an instance', () => ({ ipAddresses: ['127.0.0.1'] })],
  ['a DNS name in capitals', () => ({ dnsNames: ['A.example'] })],
  ['a DNS name with a blank', () => ({ dnsNames: ['a.example, DNS:b'] })],
  ['a wildcard in the middle', () => ({ dnsNames: ['a.*.example'] })],
  ['a lone wildcard', () => ({ dnsNames: ['*'] })],
  ['a DNS name that is too long', () => ({ dnsNames: [`${'a.'.repeat(130)}b`] })],
  ['more than 24 hours', () => ({ notAfter: server.clock.now() + 24 * hour + 1 })],
  ['an end in the past', () => ({ notAfter: server.clock.now() })],
  ['an end that is no number', () => ({ notAfter: Number.NaN })],
  ['a key of RSA 1024', () => ({ publicKey: { ...jwkOf(rsaKeys(1024)), alg: 'RS256' } })],
  ['a key on P-384', () => ({ publicKey: jwkOf(ecKeys('P-384')) })],
  ['a key on no curve', () => ({ publicKey: { ...publicKey, x: publicKey.y as string } })],
  ['a private key', () => ({ publicKey: { ...publicKey, d: 'AAAA' } as PublicJwk })],
];

for (const [what, change] of refused) {
  test(`no certificate: ${what}`, async () => {
    await assert.rejects(issue(change()));
  });
}

test('what does not say what was wanted is not given out: a key, a name or an end that is not the authority’s', async () => {
  const { version } = await asOf(server.deps.db);
  const { intermediate } = await signingAuthority(server.deps, version);
  const right = { ...intermediate };
  const lies: Partial<typeof right>[] = [
    { key: ecKeys().privateKey },
    { publicKey: ecKeys().publicKey },
    { name: named('somebody else') },
    { keyIdentifier: Buffer.alloc(20) },
    { certificate: { ...right.certificate, notAfter: server.clock.now() } },
  ];
  for (const lie of lies) {
    Object.assign(intermediate, lie);
    await assert.rejects(issue(), /did not stand the check after it was signed/, Object.keys(lie).join());
    Object.assign(intermediate, right);
  }
  assert.ok(await issue());
});
