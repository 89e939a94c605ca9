import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign, webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { ecKeys, named, names as namesExtension, rsaKeys } from '../testing/crafted-certificate.ts';
import { bitString, der, integer, oid, sequence, tags } from './der.ts';
import { pemOf } from './x509.ts';
import { readCertificateRequest } from './x509-csr.ts';
import { ecdsaWithSha256 } from './x509-key.ts';

test('requests as a library that we did not write makes them', async () => {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto as Crypto);
  const algorithms = [
    { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
    { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
    { name: 'Ed25519' },
    { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
  ];
  for (const signingAlgorithm of algorithms) {
    const keys = (await webcrypto.subtle.generateKey(signingAlgorithm, true, [
      'sign',
      'verify',
    ])) as webcrypto.CryptoKeyPair;
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: 'CN=agent, O=Example',
      keys,
      signingAlgorithm,
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: 'dns', value: 'a.example.com' },
          { type: 'url', value: 'spiffe://example.com/a' },
          { type: 'ip', value: '10.0.0.7' },
          { type: 'email', value: 'a@example.com' },
        ]),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature),
        new x509.BasicConstraintsExtension(true),
      ],
      attributes: [new x509.ChallengePasswordAttribute('secret')],
    });
    const { alg: _, ext: __, key_ops: ___, ...jwk } = await webcrypto.subtle.exportKey('jwk', keys.publicKey);
    assert.deepEqual(readCertificateRequest(request.toString('pem')), {
      publicJwk: jwk,
      subjectDn: 'O=Example,CN=agent',
      names: {
        uris: ['spiffe://example.com/a'],
        dnsNames: ['a.example.com'],
        ips: ['10.0.0.7'],
        emails: ['a@example.com'],
        others: 0,
      },
      others: ['1.2.840.113549.1.9.7', '2.5.29.15', '2.5.29.19'].toSorted(
        (a, b) => (a.startsWith('2') ? 1 : -1) - (b.startsWith('2') ? 1 : -1),
      ),
    });
  }
});

const attribute = (id: string, value: Buffer) => sequence(oid(id), der(tags.set, value));
const extensionRequest = (...extensions: Buffer[]) => attribute('1.2.840.113549.1.9.14', sequence(...extensions));

function request(change: {
  keys?: { publicKey: KeyObject; privateKey: KeyObject };
  signer?: KeyObject;
  version?: number;
  attributes?: Buffer[];
  algorithm?: Buffer;
  hash?: string;
}): Buffer {
  const keys = change.keys ?? ecKeys();
  const info = sequence(
    integer(Buffer.of(change.version ?? 0)),
    named('agent'),
    keys.publicKey.export({ type: 'spki', format: 'der' }) as Buffer,
    der(0xa0, ...(change.attributes ?? [])),
  );
  const signature = sign(change.hash ?? 'sha256', info, change.signer ?? keys.privateKey);
  return sequence(info, change.algorithm ?? ecdsaWithSha256, bitString(signature));
}

test('a request that asks for nothing', () => {
  const read = readCertificateRequest(request({}));
  assert.deepEqual([read.subjectDn, read.others, read.names.dnsNames], ['CN=agent', [], []]);
});

const good = request({});
const names = namesExtension([0x82, 'a.example']);
const refused: [string, string, Buffer | string][] = [
  ['signed by another key', 'bad_signature', request({ signer: ecKeys().privateKey })],
  [
    'changed after it was signed',
    'bad_signature',
    Buffer.from(good.toString('latin1').replace('agent', 'agenT'), 'latin1'),
  ],
  ['SHA-1', 'unsupported_algorithm', request({ algorithm: sequence(oid('1.2.840.10045.4.1')), hash: 'sha1' })],
  ['a key of RSA 1024', 'weak_key', request({ keys: rsaKeys(1024) })],
  ['a key on P-192', 'weak_key', request({ keys: ecKeys('prime192v1') })],
  ['a key for agreement alone', 'weak_key', request({ keys: x25519(), signer: ecKeys().privateKey })],
  ['version 2', 'malformed', request({ version: 1 })],
  [
    'extensions asked for twice',
    'malformed',
    request({ attributes: [extensionRequest(names), extensionRequest(names)] }),
  ],
  ['an extension twice', 'malformed', request({ attributes: [extensionRequest(names, names)] })],
  ['no extensions where some are asked for', 'malformed', request({ attributes: [extensionRequest()] })],
  ['a name with a NUL', 'malformed', request({ attributes: [extensionRequest(namesExtension([0x82, 'a\u0000b']))] })],
  ['bytes behind the end', 'malformed', Buffer.concat([good, Buffer.of(0)])],
  ['no DER', 'malformed', Buffer.from('hello')],
  ['nothing', 'malformed', Buffer.alloc(0)],
  ['far too long', 'malformed', request({ attributes: [attribute('1.2.3', Buffer.alloc(20_000, 5))] })],
  ['no PEM', 'malformed', 'hello'],
  ['PEM of a certificate', 'malformed', pemOf(good)],
  ['PEM of two requests', 'malformed', pemOf(good, 'CERTIFICATE REQUEST').repeat(2)],
];

function x25519() {
  return generateKeyPairSync('x25519');
}

for (const [what, code, csr] of refused) {
  test(`no certificate request: ${what}`, () => {
    assert.throws(() => readCertificateRequest(csr), { code });
  });
}
