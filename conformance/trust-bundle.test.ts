/** Our trust bundle, as verifiers fetch it: what it says, and that it says it before anybody has to know it. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { parseBundle } from '../packages/server/src/svid/bundle.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { databases } from './world.ts';

interface Document {
  keys: { use: string; kid?: string; x5c?: string[] }[];
  spiffe_sequence: number;
  spiffe_refresh_hint: number;
}

const hour = 3_600_000;
const bundleOf = async (server: TestServer) =>
  (await (await fetch(`${server.issuer}/spiffe/bundle`)).json()) as Document;

for (const database of databases) {
  test(`our own bundle, as anybody fetches it (${database})`, async (t) => {
    const server = await startServer({ database, config: { spiffe: { refresh_hint_seconds: 120 } } });
    t.after(() => server.close());
    const response = await fetch(`${server.issuer}/spiffe/bundle`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'application/json');
    assert.equal(response.headers.get('cache-control'), 'public, max-age=120');
    const text = await response.text();
    const bundle = parseBundle(text, { trustDomain: server.deps.config.trust_domain });
    assert.equal(bundle.x509Authorities.length, 1);
    assert.equal(bundle.jwtAuthorities.size, 1);
    assert.equal(bundle.refreshHint, 120);
    assert.equal(bundle.sequence, 1);
    assert.ok(!text.includes('"d"'), 'public halves alone');

    const keys = (await (await fetch(`${server.issuer}/oauth2/jwks`)).json()) as { keys: { kid: string }[] };
    assert.ok(!keys.keys.some(({ kid }) => bundle.jwtAuthorities.has(kid)), 'access tokens have keys of their own');

    const pem = await fetch(`${server.issuer}/spiffe/ca.pem`);
    assert.equal(pem.headers.get('content-type'), 'application/x-pem-file');
    const der = (await pem.text()).replaceAll(/-----[A-Z ]+-----|\n/g, '');
    assert.equal(der, bundle.x509Authorities[0]?.toString('base64'));

    for (const path of ['/spiffe/bundle', '/spiffe/ca.pem']) {
      const refusal = await fetch(`${server.issuer}${path}`, { method: 'POST', body: 'x' });
      assert.equal(refusal.status, 405);
      assert.equal(refusal.headers.get('allow'), 'GET, HEAD');
      assert.equal((await fetch(`${server.issuer}${path}`, { method: 'HEAD' })).status, 200);
    }
  });
}

test('a successor is in the bundle for longer than any hint before it signs, and the sequence number says so', async (t) => {
  const server = await startServer({ config: { spiffe: { refresh_hint_seconds: 86_400 } } });
  t.after(() => server.close());
  const before = await bundleOf(server);
  for (const what of ['root', 'jwt_svid_key', 'intermediate']) {
    const { signs_from } = await server.admin<{ signs_from: string }>('POST', '/certificate-authority/rotate', {
      what,
    });
    const longest = 86_400_000 + 300_000; // the hint, and what a cache may add
    if (what !== 'intermediate') assert.ok(Date.parse(signs_from) - server.clock.now() > longest, what);
  }
  const after = await bundleOf(server);
  assert.equal(after.spiffe_sequence, before.spiffe_sequence + 2, 'intermediates come with the certificates');
  const uses = after.keys.map(({ use }) => use).toSorted();
  assert.deepEqual(uses, ['jwt-svid', 'jwt-svid', 'x509-svid', 'x509-svid']);
  for (const key of before.keys)
    assert.deepEqual(
      after.keys.filter((each) => each.x5c?.[0] === key.x5c?.[0] && each.kid === key.kid),
      [key],
    );
});

test('an authority says that it is one, of which trust domain, and for how long', async (t) => {
  const server = await startServer({ config: { trust_domain: 'agents.example.com' } });
  t.after(() => server.close());
  const { authorities } = await server.admin<{ authorities: { kind: string; certificate: string }[] }>(
    'GET',
    '/certificate-authority',
  );
  const [intermediate, root] = ['intermediate', 'root'].map(
    (kind) => new X509Certificate(authorities.find((each) => each.kind === kind)?.certificate ?? ''),
  ) as [X509Certificate, X509Certificate];
  for (const each of [intermediate, root]) {
    assert.equal(each.ca, true);
    assert.equal(each.subjectAltName, 'URI:spiffe://agents.example.com');
    assert.ok(each.validFromDate.getTime() < server.clock.now(), 'a clock may be behind');
    assert.ok(each.verify(root.publicKey) && each.checkIssued(root));
    assert.equal(each.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  }
  assert.ok(root.validToDate > intermediate.validToDate);
  assert.ok(intermediate.validToDate.getTime() > server.clock.now() + 24 * hour * 90);
});
