// Forgeries of what we might have signed by a mistake: each differs from what was wanted in one thing, and is held back for that.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PublicJwk } from '@bailiwick/protocol';
import {
  basicConstraints,
  type Craft,
  certifies,
  clientAndServer,
  craft,
  craftAuthority,
  dns,
  ecKeys,
  extension,
  type KeyPair,
  keyUsage,
  type Name,
  named,
  names,
  purposes,
  signs,
  uri,
} from '../testing/crafted-certificate.ts';
import { testEpoch } from '../testing/harness.ts';
import { der, integer, sequence, tags } from './der.ts';
import { readCertificate } from './x509.ts';
import { checkIssued, type Signer, type Wanted } from './x509-check.ts';
import { keyIdentifierOf } from './x509-write.ts';

const hour = 3_600_000;
const [serverAuth, clientAuth] = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'];
const spkiOf = ({ publicKey }: KeyPair) => publicKey.export({ type: 'spki', format: 'der' }) as Buffer;
const ofKeys = (keys: KeyPair) => keyIdentifierOf(spkiOf(keys));
const ip = (...bytes: number[]): Name => [0x87, Buffer.from(bytes)];

const subjectId = (id: Buffer) => extension('2.5.29.14', der(tags.octetString, id));
const issuerId = (id: Buffer) => extension('2.5.29.35', sequence(der(0x80, id)));

const rootKeys = ecKeys();
const root = craftAuthority('root', {
  keys: rootKeys,
  until: testEpoch + 24 * hour,
  extensions: [basicConstraints(true), certifies, subjectId(ofKeys(rootKeys))],
});
const byRoot: Signer = { publicKey: rootKeys.publicKey, certificate: readCertificate(root.der) };

/** The extensions of a forgery by name; one that is `undefined` is left out. */
type Parts = Record<
  'constraints' | 'usage' | 'purposes' | 'names' | 'subjectId' | 'issuerId' | 'more',
  Buffer | undefined
>;
type Change = Omit<Craft, 'extensions'> & Partial<Parts> & { signer?: Signer };

const keys = ecKeys();
const serial = Buffer.of(0x40, 1, 2, 3);
const wantedOfAll: Omit<Wanted, 'uri'> = {
  serial,
  subject: named('it'),
  publicKey: keys.publicKey.export({ format: 'jwk' }) as PublicJwk,
  notBefore: testEpoch - hour + 999, // whole seconds are what a certificate can say
  notAfter: testEpoch + hour + 999,
};

function forged(parts: Parts, { signer: _, ...change }: Change): Buffer {
  const own = Object.fromEntries(
    Object.keys(parts).map((name) => [name, name in change ? change[name as keyof Parts] : parts[name as keyof Parts]]),
  );
  return craft({
    issuer: root,
    keys,
    subject: named('it'),
    serial: integer(serial),
    from: testEpoch - hour,
    until: testEpoch + hour,
    ...change,
    extensions: Object.values(own).filter((each) => each !== undefined),
  }).der;
}

const same: Parts = {
  constraints: undefined,
  usage: undefined,
  purposes: undefined,
  names: undefined,
  subjectId: subjectId(ofKeys(keys)),
  issuerId: issuerId(ofKeys(rootKeys)),
  more: undefined,
};

const id = 'spiffe://example.org/home/agent/ins_1';
const ofLeaf = [uri(id), dns('a.example'), dns('b.example'), ip(192, 0, 2, 7), ip(...Buffer.alloc(15), 1)];
const leafParts: Parts = {
  ...same,
  constraints: basicConstraints(false),
  usage: signs,
  purposes: clientAndServer,
  names: names(...ofLeaf),
};
const leafWanted: Wanted = {
  ...wantedOfAll,
  uri: id,
  dnsNames: ['a.example', 'b.example'],
  ipAddresses: ['192.0.2.7', '0:0::1'],
};

const domain = 'spiffe://example.org';
const authorityParts: Parts = {
  ...same,
  constraints: basicConstraints(true, 0),
  usage: certifies,
  names: names(uri(domain)),
};
const authorityWanted: Wanted = { ...wantedOfAll, uri: domain, pathLength: 0 };

const others = ecKeys();
const stranger: Signer = { ...byRoot, publicKey: others.publicKey };
const ofAny: [string, Change, string][] = [
  ['another serial number', { serial: integer(Buffer.of(0x40, 1, 2, 4)) }, 'serial number'],
  ['a serial number that only begins so', { serial: integer(Buffer.of(0x40, 1, 2, 3, 0)) }, 'serial number'],
  ['another issuer', { issuerName: named('somebody else') }, 'issuer'],
  ['another subject', { subject: named('It') }, 'subject'],
  ['no subject', { subject: sequence() }, 'subject'],
  ['another key', { spki: spkiOf(others), subjectId: subjectId(ofKeys(others)) }, 'key'],
  ['the key identifier of another key', { subjectId: subjectId(ofKeys(others)) }, 'key identifier'],
  ['no key identifier', { subjectId: undefined }, 'key identifier'],
  ['the key identifier of another issuer', { issuerId: issuerId(ofKeys(others)) }, 'key identifier of the issuer'],
  ['no key identifier of the issuer', { issuerId: undefined }, 'key identifier of the issuer'],
  ['an earlier beginning', { from: testEpoch - hour - 1000 }, 'beginning'],
  ['a later beginning', { from: testEpoch - hour + 1000 }, 'beginning'],
  ['a later end', { until: testEpoch + hour + 1000 }, 'end'],
  ['an earlier end', { until: testEpoch + hour - 1000 }, 'end'],
  [
    'an end behind that of its issuer',
    { signer: { ...byRoot, certificate: { ...readCertificate(root.der), notAfter: testEpoch + hour - 1 } } },
    'end of the issuer',
  ],
  ['one usage more', { usage: keyUsage(0b1000_0110, 1) }, 'key usage'],
  ['another usage', { usage: keyUsage(0b0010_0000, 5) }, 'key usage'],
  ['no usages', { usage: undefined }, 'key usage'],
  [
    'a critical extension that nobody wanted',
    { more: extension('1.2.3.4', der(tags.null), true) },
    'critical extensions',
  ],
  ['constraints on names', { more: extension('2.5.29.30', sequence(), true) }, 'name constraints'],
  ['no names', { names: undefined }, 'URI'],
  ['a signature by another key', { signer: stranger }, 'signature'],
  [
    'a changed signature',
    { break: (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.of(bytes.at(-1)! ^ 1)]) },
    'signature',
  ],
];
const instead = (...list: Name[]): Change => ({ names: names(...list) });
const ofLeaves: [string, Change, string][] = [
  ['the CA flag', { constraints: basicConstraints(true) }, 'CA flag'],
  ['nothing of whether it is an authority', { constraints: undefined }, 'CA flag'],
  ['a path length', { constraints: basicConstraints(true, 0) }, 'CA flag'],
  ['the usages of an authority', { usage: certifies }, 'key usage'],
  ['servers alone', { purposes: purposes(serverAuth) }, 'extended key usage'],
  ['clients alone', { purposes: purposes(clientAuth) }, 'extended key usage'],
  ['code signing too', { purposes: purposes(serverAuth, clientAuth, '1.3.6.1.5.5.7.3.3') }, 'extended key usage'],
  ['code signing instead', { purposes: purposes(serverAuth, '1.3.6.1.5.5.7.3.3') }, 'extended key usage'],
  ['no purposes', { purposes: undefined }, 'extended key usage'],
  ['another SPIFFE ID', instead(uri(`${id}0`), ...ofLeaf.slice(1)), 'URI'],
  ['another SPIFFE ID too', instead(...ofLeaf, uri(`${id}0`)), 'URI'],
  ['no SPIFFE ID', instead(...ofLeaf.slice(1)), 'URI'],
  ['another DNS name', instead(uri(id), dns('a.example'), dns('c.example'), ...ofLeaf.slice(3)), 'DNS names'],
  ['a DNS name more', instead(...ofLeaf, dns('c.example')), 'DNS names'],
  ['a DNS name less', instead(uri(id), dns('a.example'), ...ofLeaf.slice(3)), 'DNS names'],
  ['two DNS names in one', instead(uri(id), dns('a.example,b.example'), ...ofLeaf.slice(3)), 'DNS names'],
  ['another address', instead(...ofLeaf.slice(0, 4), ip(...Buffer.alloc(15), 2)), 'addresses'],
  ['an address more', instead(...ofLeaf, ip(192, 0, 2, 8)), 'addresses'],
  ['an address less', instead(...ofLeaf.slice(0, 4)), 'addresses'],
  ['a mailbox', instead(...ofLeaf, [0x81, 'a@b.example']), 'other names'],
  ['a name of a kind that nobody reads', instead(...ofLeaf, [0xa4, named('it')]), 'other names'],
];
const ofAuthorities: [string, Change, string][] = [
  ['no CA flag', { constraints: basicConstraints(false) }, 'CA flag'],
  ['nothing of whether it is an authority', { constraints: undefined }, 'CA flag'],
  ['a greater path length', { constraints: basicConstraints(true, 1) }, 'path length'],
  ['no path length', { constraints: basicConstraints(true) }, 'path length'],
  ['the usage of a leaf', { usage: signs }, 'key usage'],
  ['certificates alone as its usage', { usage: keyUsage(0b0000_0100, 2) }, 'key usage'],
  ['purposes', { purposes: clientAndServer }, 'extended key usage'],
  ['another trust domain', instead(uri('spiffe://example.com')), 'URI'],
  ['somebody in the trust domain', instead(uri(id)), 'URI'],
  ['a DNS name', instead(uri(domain), dns('a.example')), 'DNS names'],
  ['an address', instead(uri(domain), ip(192, 0, 2, 7)), 'addresses'],
  ['a mailbox', instead(uri(domain), [0x81, 'a@b.example']), 'other names'],
];

for (const [kind, parts, wanted, rows] of [
  ['a leaf', leafParts, leafWanted, [...ofAny, ...ofLeaves]],
  ['an authority', authorityParts, authorityWanted, [...ofAny, ...ofAuthorities]],
] as const) {
  test(`${kind} that says what was wanted stands`, () => {
    const bytes = forged(parts, {});
    assert.deepEqual(checkIssued(bytes, wanted, byRoot), readCertificate(bytes));
  });

  for (const [sentence, change, what] of rows) {
    test(`${kind} is held back that has ${sentence}`, () => {
      const message = `a certificate did not stand the check after it was signed: ${what}`;
      const bytes = forged(parts, change);
      assert.throws(() => checkIssued(bytes, wanted, change.signer ?? byRoot), { message });
    });
  }
}

test('a root is its own issuer', () => {
  const own: Change = { issuerName: named('it'), issuerId: issuerId(ofKeys(keys)) };
  const self = (change: Change) =>
    forged(authorityParts, { ...own, issuer: { der: Buffer.alloc(0), keys, subject: named('it') }, ...change });
  const check = (bytes: Buffer) => checkIssued(bytes, authorityWanted, { publicKey: keys.publicKey });
  assert.ok(check(self({})));
  assert.throws(() => check(self({ issuerName: named('root') })), /signed: issuer$/);
  assert.throws(() => check(self({ issuerId: issuerId(ofKeys(rootKeys)) })), /signed: key identifier of the issuer$/);
  assert.throws(() => check(self({ issuer: root, issuerName: named('it') })), /signed: signature$/);
});

test('what is no certificate at all is held back too', () => {
  assert.throws(() => checkIssued(Buffer.from('nothing'), leafWanted, byRoot), { code: 'malformed' });
});
