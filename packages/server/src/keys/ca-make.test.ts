import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { generateJwk } from '@bailiwick/protocol';
import { plainAtRest } from '../lib/at-rest.ts';
import { systemRandom } from '../lib/random.ts';
import { ecKeys, named } from '../testing/crafted-certificate.ts';
import { testEpoch } from '../testing/harness.ts';
import type { Authority } from './authority.ts';
import { makeIntermediate, makeRoot } from './ca-make.ts';
import { backdatedMs, intermediateLifetimeMs, rootLifetimeMs } from './ca-schedule.ts';

const deps = {
  random: systemRandom(),
  encryption: plainAtRest,
  config: { trust_domain: 'agents.example.com' },
};
const now = testEpoch + 999;
const times = { now, signsFrom: now + 1000 };
const rootKey = await generateJwk('ES256');
const key = await generateJwk('ES256');
const newRoot = () => makeRoot(deps, rootKey, times).authority;

test('a root and its intermediate say what they are, as OpenSSL reads them', () => {
  const root = newRoot();
  const intermediate = makeIntermediate(deps, key, root, times).authority;
  const [above, below] = [root, intermediate].map((each) => new X509Certificate(each.pem)) as [
    X509Certificate,
    X509Certificate,
  ];
  for (const [certificate, ends] of [
    [above, now + rootLifetimeMs],
    [below, times.signsFrom + intermediateLifetimeMs],
  ] as const) {
    assert.equal(certificate.ca, true);
    assert.equal(certificate.subjectAltName, 'URI:spiffe://agents.example.com');
    assert.ok(certificate.checkIssued(above) && certificate.verify(above.publicKey));
    assert.equal(certificate.validFromDate.getTime(), now - backdatedMs - 999);
    assert.equal(certificate.validToDate.getTime(), Math.floor(ends / 1000) * 1000);
  }
  assert.deepEqual(
    [root.certificate.basicConstraints?.pathLength, intermediate.certificate.basicConstraints?.pathLength],
    [1, 0],
  );
});

test('an authority that its root did not make as it should is not kept', () => {
  const held =
    /did not stand the check after it was signed: (issuer|key identifier of the issuer|signature|end of the issuer)$/;
  const root = newRoot();
  const lies: Partial<Authority>[] = [
    { key: ecKeys().privateKey },
    { publicKey: ecKeys().publicKey },
    { name: named('somebody else') },
    { keyIdentifier: Buffer.alloc(20) },
  ];
  for (const lie of lies) {
    assert.throws(() => makeIntermediate(deps, key, { ...root, ...lie }, times), held, Object.keys(lie).join());
  }
  assert.ok(makeIntermediate(deps, key, root, times));
});
