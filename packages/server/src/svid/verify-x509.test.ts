import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { ProtocolError } from '@bailiwick/protocol';
import fc from 'fast-check';
import { der, integer, sequence, tags, time } from '../lib/der.ts';
import { readCertificate } from '../lib/x509.ts';
import { makeAuthority, makeCertificate } from '../testing/certificates.ts';
import {
  basicConstraints,
  type Crafted,
  certifies,
  clientAndServer,
  craft,
  craftAuthority,
  craftLeaf,
  dns,
  ecKeys,
  ed25519Keys,
  extension,
  keyUsage,
  leafExtensions,
  named,
  names,
  purposes,
  rsaKeys,
  signs,
  uri,
} from '../testing/crafted-certificate.ts';
import { testEpoch } from '../testing/harness.ts';
import { spiffeIdOf, verifyChain, verifyX509Svid } from './verify-x509.ts';

const day = 86_400_000;
const now = testEpoch;
const root = craftAuthority('root');
const intermediate = craftAuthority('intermediate', { issuer: root });
const anchors = [root.der];
const id = 'spiffe://example.org/home/agent/ins_1';

const verify = (
  chain: readonly Crafted[],
  trusted: readonly Buffer[] = anchors,
  purpose: 'client' | 'server' = 'client',
) =>
  verifyChain(
    chain.map((each) => each.der),
    { anchors: trusted, now, purpose },
  );

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    return error.code;
  }
  return 'accepted';
};

test('what a good chain says', () => {
  const leaf = craftLeaf(intermediate, {
    subject: named('an agent, "one"'),
    extensions: leafExtensions(
      uri(id),
      dns('agent.example.org'),
      [0x81, 'agent@example.org'],
      [0x87, Buffer.of(10, 0, 0, 7) as never],
    ),
  });
  const found = verify([leaf, intermediate]);
  assert.deepEqual(
    { ...found, publicJwk: found.publicJwk.kty, x5t: '', authorityKeys: found.authorityKeys.length },
    {
      spiffeId: id,
      subjectDn: 'CN=an agent\\, \\"one\\"',
      dnsNames: ['agent.example.org'],
      uris: [id],
      ips: ['10.0.0.7'],
      emails: ['agent@example.org'],
      publicJwk: 'EC',
      x5t: '',
      notAfter: now + day,
      authorityKeys: 2,
    },
  );
  assert.equal(spiffeIdOf(found), id);
  for (const purpose of ['client', 'server'] as const) assert.ok(verify([leaf, intermediate, root], anchors, purpose));
  assert.ok(verify([leaf], [intermediate.der]), 'an anchor need not have signed itself');
});

test('every algorithm that is accepted, as a library that we did not write makes them', async () => {
  for (const alg of ['ES256', 'ES384', 'EdDSA', 'RS256'] as const) {
    const authority = await makeAuthority('CN=theirs', { alg });
    const between = await makeAuthority('CN=between', { alg, issuer: authority });
    const leaf = await makeCertificate({ alg, issuer: between, subject: 'CN=leaf,O=theirs', names: [['url', id]] });
    const found = verifyChain([leaf.der, between.der], { anchors: [authority.der], now, purpose: 'client' });
    assert.equal(found.spiffeId, id, alg);
    assert.equal(found.subjectDn, 'O=theirs,CN=leaf', alg); // that library writes the first first
    assert.equal(found.x5t, leaf.x5t, alg);
  }
});

const otherRoot = craftAuthority('root');
const old = craftAuthority('old', { until: now - 1000 });
const oldIntermediate = craftAuthority('old', { issuer: root, until: now - 1000 });
const leafThatSigns = craftLeaf(intermediate, { subject: named('leaf') });
const noPath = craftAuthority('no path', { issuer: root, extensions: [basicConstraints(true, 0), certifies] });
const below = craftAuthority('below', { issuer: noPath });
const notForCertificates = craftAuthority('x', { issuer: root, extensions: [basicConstraints(true), signs] });
const noUsage = craftAuthority('x', { issuer: root, extensions: [basicConstraints(true)] });
const onlyServers = craftAuthority('x', {
  issuer: root,
  extensions: [basicConstraints(true), certifies, purposes('1.3.6.1.5.5.7.3.1')],
});
const constrained = craftAuthority('x', {
  issuer: root,
  extensions: [basicConstraints(true), certifies, extension('2.5.29.30', sequence(), true)],
});
const rsa = craftAuthority('rsa', { keys: rsaKeys(2048) });
const weakRsa = craftAuthority('weak', { keys: rsaKeys(1024) });
const leafWith = (...extensions: Buffer[]) => craftLeaf(root, { extensions });
const good = leafExtensions(uri(id));
const chainOf = (count: number): Crafted[] => {
  let issuer = root;
  const chain: Crafted[] = [];
  for (let i = 1; i < count; i++) {
    issuer = craftAuthority(`level ${i}`, { issuer });
    chain.unshift(issuer);
  }
  return [craftLeaf(issuer), ...chain];
};
const forged = craftLeaf({ ...intermediate, keys: ecKeys() });

const rejected: [string, string, readonly Crafted[], (readonly Buffer[])?][] = [
  ['no certificate', 'malformed', []],
  ['expired', 'expired', [craftLeaf(root, { until: now - 1000 })]],
  ['not yet valid', 'not_yet_valid', [craftLeaf(root, { from: now + 1000 })]],
  ['an intermediate that has expired', 'expired', [craftLeaf(oldIntermediate), oldIntermediate]],
  ['a root that has expired', 'expired', [craftLeaf(old)], [old.der]],
  ['an unknown authority', 'unknown_ca', [craftLeaf(craftAuthority('stranger'))]],
  ['an unknown authority that brings its root along', 'unknown_ca', [craftLeaf(otherRoot), otherRoot]],
  ['the intermediate is missing', 'unknown_ca', [craftLeaf(intermediate)]],
  ['the order is wrong', 'ca_leaf', [intermediate, craftLeaf(intermediate)]],
  ['somebody else is in between', 'unknown_ca', [craftLeaf(intermediate), below, intermediate]],
  ['a leaf that signed itself', 'unknown_ca', [craft({ subject: named('me'), extensions: good })]],
  ['an anchor as leaf', 'ca_leaf', [root]],
  ['CA flag in a leaf', 'ca_leaf', [leafWith(basicConstraints(true), signs, clientAndServer, names(uri(id)))]],
  [
    'a leaf that may sign certificates',
    'key_usage',
    [leafWith(basicConstraints(false), keyUsage(0b1000_0100, 2), clientAndServer)],
  ],
  [
    'a leaf that may sign lists',
    'key_usage',
    [leafWith(basicConstraints(false), keyUsage(0b1000_0010, 1), clientAndServer)],
  ],
  ['a leaf that signs a leaf', 'not_a_ca', [craftLeaf(leafThatSigns), leafThatSigns, intermediate]],
  ['a leaf that signs a leaf, itself believed', 'not_a_ca', [craftLeaf(leafThatSigns)], [leafThatSigns.der]],
  ['path length', 'path_length', [craftLeaf(below), below, noPath]],
  ['an authority whose key is not for certificates', 'key_usage', [craftLeaf(notForCertificates), notForCertificates]],
  ['an authority without keyUsage', 'key_usage', [craftLeaf(noUsage), noUsage]],
  ['an authority for servers alone', 'extended_key_usage', [craftLeaf(onlyServers), onlyServers]],
  ['constraints on names', 'name_constraints', [craftLeaf(constrained), constrained]],
  ['a key of RSA 1024', 'weak_key', [craftLeaf(root, { keys: rsaKeys(1024) })]],
  ['an authority with RSA 1024', 'weak_key', [craftLeaf(weakRsa), weakRsa], [weakRsa.der]],
  ['RSA with exponent 3', 'weak_key', [craftLeaf(root, { keys: rsaKeys(2048, 3) })]],
  ['a key on P-192', 'weak_key', [craftLeaf(root, { keys: ecKeys('prime192v1') })]],
  ['a key on secp256k1', 'weak_key', [craftLeaf(root, { keys: ecKeys('secp256k1') })]],
  ['signed with ECDSA and SHA-1', 'unsupported_algorithm', [craftLeaf(root, { signature: 'ecdsa-sha1' })]],
  ['signed with ECDSA and SHA-224', 'unsupported_algorithm', [craftLeaf(root, { signature: 'ecdsa-sha224' })]],
  ['signed with RSA and SHA-1', 'unsupported_algorithm', [craftLeaf(rsa, { signature: 'rsa-sha1' })], [rsa.der]],
  ['signed with RSA and MD5', 'unsupported_algorithm', [craftLeaf(rsa, { signature: 'rsa-md5' })], [rsa.der]],
  ['two signature algorithms', 'malformed', [craftLeaf(root, { innerSignature: 'ecdsa-sha384' })]],
  ['missing keyUsage', 'key_usage', [leafWith(basicConstraints(false), clientAndServer, names(uri(id)))]],
  ['keyUsage for something else', 'key_usage', [leafWith(keyUsage(0b0010_0000, 5), clientAndServer)]],
  ['missing extendedKeyUsage', 'extended_key_usage', [leafWith(basicConstraints(false), signs, names(uri(id)))]],
  ['for servers alone', 'extended_key_usage', [leafWith(signs, purposes('1.3.6.1.5.5.7.3.1'), names(uri(id)))]],
  ['for any purpose', 'extended_key_usage', [leafWith(signs, purposes('2.5.29.37.0'), names(uri(id)))]],
  [
    'an unknown critical extension',
    'critical_extension',
    [leafWith(...good, extension('1.3.6.1.4.1.99999.1', sequence(), true))],
  ],
  ['an extension twice', 'malformed', [leafWith(...good, basicConstraints(false))]],
  ['no extensions', 'malformed', [craft({ issuer: root })]],
  ['version 1', 'malformed', [craftLeaf(root, { version: Buffer.alloc(0) })]],
  ['version 2', 'malformed', [craftLeaf(root, { version: der(0xa0, integer(Buffer.of(1))) })]],
  ['serial number 0', 'malformed', [craftLeaf(root, { serial: integer(Buffer.of(0)) })]],
  ['a negative serial number', 'malformed', [craftLeaf(root, { serial: der(tags.integer, Buffer.of(0x80)) })]],
  ['a serial number of 21 bytes', 'malformed', [craftLeaf(root, { serial: integer(Buffer.alloc(21, 1)) })]],
  [
    'a time with a zone',
    'malformed',
    [craftLeaf(root, { validity: sequence(time(now), der(tags.utcTime, Buffer.from('2611010900+0100'))) })],
  ],
  [
    'the 31st of February',
    'malformed',
    [craftLeaf(root, { validity: sequence(time(now), der(tags.utcTime, Buffer.from('270231000000Z'))) })],
  ],
  ['a path length without being a CA', 'malformed', [leafWith(basicConstraints(false, 0), signs, clientAndServer)]],
  ['a name with a NUL', 'malformed', [leafWith(...leafExtensions(dns('good.example\u0000.evil.example')))]],
  ['a name with a line break', 'malformed', [leafWith(...leafExtensions(uri(`${id}\n`)))]],
  ['an empty list of names', 'malformed', [leafWith(signs, clientAndServer, names())]],
  ['bytes behind the end', 'malformed', [craftLeaf(root, { break: (bytes) => Buffer.concat([bytes, Buffer.of(0)]) })]],
  ['cut off', 'malformed', [craftLeaf(root, { break: (bytes) => bytes.subarray(0, -1) })]],
  ['not DER at all', 'malformed', [{ ...root, der: Buffer.from('-----BEGIN CERTIFICATE-----') }]],
  ['far too long', 'malformed', [leafWith(...good, extension('1.2.3.4', Buffer.alloc(20_000)))]],
  ['a signature by another key', 'unknown_ca', [craftLeaf({ ...root, keys: ecKeys() })]],
  ['a signature by another key than the next one has', 'bad_signature', [forged, intermediate]],
  [
    'changed after it was signed',
    'unknown_ca',
    [craftLeaf(root, { break: (bytes) => Buffer.from(bytes.toString('latin1').replace('ins_1', 'ins_2'), 'latin1') })],
  ],
  ['chain too long', 'chain_too_long', chainOf(6)],
];

for (const [what, code, chain, trusted] of rejected) {
  test(`refused: ${what}`, () =>
    assert.equal(
      codeOf(() => verify(chain, trusted)),
      code,
    ));
}

test('as long as a chain may be', () => assert.ok(verify(chainOf(5))));

test('time: both ends belong to it, and what was remembered ends with it', () => {
  const leaf = craftLeaf(intermediate, { from: now, until: now + 60_000 });
  const at = (time: number) =>
    codeOf(() => verifyChain([leaf.der, intermediate.der], { anchors, now: time, purpose: 'client' }));
  const times = [now - 1, now, now + 60_000, now + 60_001, now + 30_000, now - 1, now + day];
  assert.deepEqual(times.map(at), [
    'not_yet_valid',
    'accepted',
    'accepted',
    'expired',
    'accepted',
    'not_yet_valid',
    'expired',
  ]);
});

test('what was remembered counts for these anchors and this purpose alone', () => {
  const leaf = craftLeaf(intermediate, { extensions: [signs, purposes('1.3.6.1.5.5.7.3.2'), names(uri(id))] });
  assert.ok(verify([leaf, intermediate]));
  assert.equal(
    codeOf(() => verify([leaf, intermediate], [otherRoot.der])),
    'unknown_ca',
  );
  assert.equal(
    codeOf(() => verify([leaf, intermediate], anchors, 'server')),
    'extended_key_usage',
  );
  assert.equal(
    codeOf(() => verify([leaf])),
    'unknown_ca',
  );
});

const ids: [string, string, string[]][] = [
  ['two URI names', 'uri_names', [id, id]],
  ['no URI name', 'uri_names', []],
  ['a URI of another kind', 'bad_spiffe_id', ['https://example.org/home/agent/ins_1']],
  ['only a trust domain', 'bad_spiffe_id', ['spiffe://example.org']],
  ['a slash at the end', 'bad_spiffe_id', [`${id}/`]],
  ['a dot segment', 'bad_spiffe_id', ['spiffe://example.org/home/other/../agent']],
  ['an empty segment', 'bad_spiffe_id', ['spiffe://example.org//home/agent']],
  ['percent-encoding', 'bad_spiffe_id', ['spiffe://example.org/home/%61gent']],
  ['capitals in the trust domain', 'bad_spiffe_id', ['spiffe://Example.org/home/agent']],
  ['capitals in the scheme', 'bad_spiffe_id', ['SPIFFE://example.org/home/agent']],
  ['a user', 'bad_spiffe_id', ['spiffe://example.org@evil.example/home/agent']],
  ['a port', 'bad_spiffe_id', ['spiffe://example.org:443/home/agent']],
  ['a query', 'bad_spiffe_id', [`${id}?a=b`]],
  ['a fragment', 'bad_spiffe_id', [`${id}#a`]],
];

for (const [what, code, uris] of ids) {
  test(`no X.509-SVID: ${what}`, async () => {
    const extensions = uris.length > 0 ? leafExtensions(...uris.map(uri)) : leafExtensions(dns('example.org'));
    const leaf = craftLeaf(root, { extensions });
    assert.equal(verify([leaf]).spiffeId, undefined, 'the chain itself holds');
    const bundle = { x509Authorities: anchors, jwtAuthorities: new Map(), sequence: 1, refreshHint: 1 };
    const svid = verifyX509Svid([leaf.der], { bundles: async () => bundle, now, purpose: 'client' });
    await assert.rejects(svid, { code });
  });
}

test('an X.509-SVID is verified with the bundle of the trust domain that it names, and no other', async () => {
  const bundleOf = (authority: Crafted) => ({
    x509Authorities: [authority.der],
    jwtAuthorities: new Map(),
    sequence: 1,
    refreshHint: 1,
  });
  const known = new Map([
    ['example.org', bundleOf(root)],
    ['partner.example', bundleOf(otherRoot)],
  ]);
  const verifySvid = (...chain: Crafted[]) =>
    verifyX509Svid(
      chain.map((each) => each.der),
      { bundles: async (domain) => known.get(domain), now, purpose: 'client' },
    );
  assert.equal((await verifySvid(craftLeaf(intermediate), intermediate)).spiffeId, id);
  const wrong = craftLeaf(root, { extensions: leafExtensions(uri('spiffe://partner.example/home/agent')) });
  await assert.rejects(verifySvid(wrong), { code: 'unknown_ca' });
  const stranger = craftLeaf(root, { extensions: leafExtensions(uri('spiffe://stranger.example/home/agent')) });
  await assert.rejects(verifySvid(stranger), { code: 'unknown_trust_domain' });
  await assert.rejects(verifySvid(), { code: 'malformed' });
});

test('property: garbage, and certificates with a byte changed, are refused and nothing else happens', () => {
  const leaf = craftLeaf(root);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
    fc.tuple(fc.nat(leaf.der.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => {
      const changed = Buffer.from(leaf.der);
      changed[at] = changed[at]! ^ change;
      return changed;
    }),
    fc
      .tuple(fc.nat(leaf.der.length - 1), fc.uint8Array({ minLength: 1, maxLength: 8 }))
      .map(([at, more]) => Buffer.concat([leaf.der.subarray(0, at), more, leaf.der.subarray(at)])),
  );
  fc.assert(
    fc.property(bytes, (der) => {
      assert.notEqual(
        codeOf(() => verifyChain([der], { anchors, now, purpose: 'client' })),
        'accepted',
      );
    }),
    { numRuns: 500 },
  );
});

test('property: what we read in a certificate, OpenSSL reads too', () => {
  const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
  fc.assert(
    fc.property(
      fc.record({
        commonName: fc.stringMatching(/^[A-Za-z0-9 .-]{1,30}$/),
        path: fc.array(name, { minLength: 1, maxLength: 4 }),
        dnsNames: fc.array(name, { maxLength: 3 }),
        keys: fc.constantFrom(ecKeys(), ecKeys('P-384'), ed25519Keys(), rsaKeys(2048)),
        from: fc.integer({ min: -40, max: 0 }),
        until: fc.integer({ min: 0, max: 30_000 }),
      }),
      ({ commonName, path, dnsNames, keys, from, until }) => {
        const extensions = leafExtensions(uri(`spiffe://example.org/${path.join('/')}`), ...dnsNames.map(dns));
        const times = { from: now + from * day, until: now + until * day };
        const leaf = craftLeaf(root, { keys, subject: named(commonName), extensions, ...times });
        const ours = readCertificate(leaf.der);
        const theirs = new X509Certificate(leaf.der);
        const all = [
          ...(ours.names?.uris ?? []).map((each) => `URI:${each}`),
          ...(ours.names?.dnsNames ?? []).map((each) => `DNS:${each}`),
        ];
        assert.equal(all.join(', '), theirs.subjectAltName);
        assert.equal(ours.notAfter, theirs.validToDate.getTime());
        assert.equal(ours.notBefore, theirs.validFromDate.getTime());
        assert.equal(BigInt(`0x${ours.serial}`), BigInt(`0x${theirs.serialNumber}`));
        assert.deepEqual(ours.publicJwk, theirs.publicKey.export({ format: 'jwk' }));
        assert.equal(ours.basicConstraints?.ca, theirs.ca);
        assert.equal(theirs.verify(root.keys.publicKey), true);
      },
    ),
    { numRuns: 40 },
  );
});
