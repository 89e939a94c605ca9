/** Public keys and signatures in certificates: which ones there are, and how their bytes read. RFC 5480, 8410, 3279, 4055. */
import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { ProtocolError, type PublicJwk } from '@bailiwick/protocol';
import { bitString, bitsOf, der, end, integer, oid, only, readerOf, sequence, tags, take, unsignedOf } from './der.ts';

const rsaEncryption = sequence(oid('1.2.840.113549.1.1.1'), der(tags.null));
const p256 = sequence(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7'));
const p384 = sequence(oid('1.2.840.10045.2.1'), oid('1.3.132.0.34'));
const ed25519 = sequence(oid('1.3.101.112'));

const curves = [
  { algorithm: p256, crv: 'P-256', bytes: 32 },
  { algorithm: p384, crv: 'P-384', bytes: 48 },
] as const;

const leastRsaBits = 2048;
const mostRsaBits = 4096;

const weak = (what: string) => new ProtocolError('weak_key', `the key of the certificate is not accepted: ${what}`);

/**
 * The key of a SubjectPublicKeyInfo: ECDSA on P-256 or P-384, Ed25519, RSA of 2048 to 4096 bits. Whether a point lies
 * on its curve shows when the key is used.
 * @throws ProtocolError `weak_key` for any other, `malformed`
 */
export function readSpki(spki: Buffer): PublicJwk {
  const reader = readerOf(only(spki, tags.sequence).content);
  const algorithm = take(reader, tags.sequence).bytes;
  const bits = bitsOf(take(reader, tags.bitString));
  end(reader);
  for (const { algorithm: known, crv, bytes } of curves) {
    if (!algorithm.equals(known)) continue;
    if (bits.length !== 1 + 2 * bytes || bits[0] !== 4) throw weak('its point is not written in full');
    return { kty: 'EC', crv, x: base64url(bits.subarray(1, 1 + bytes)), y: base64url(bits.subarray(1 + bytes)) };
  }
  if (algorithm.equals(ed25519)) {
    if (bits.length !== 32) throw weak('it has a wrong length');
    return { kty: 'OKP', crv: 'Ed25519', x: base64url(bits) };
  }
  if (algorithm.equals(rsaEncryption)) return readRsa(bits);
  throw weak('it must be ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 bits or more');
}

function readRsa(bits: Buffer): PublicJwk {
  const reader = readerOf(only(bits, tags.sequence).content);
  const n = unsignedOf(take(reader, tags.integer));
  const e = unsignedOf(take(reader, tags.integer));
  end(reader);
  const size = n.length * 8 - Math.clz32(n[0] ?? 0) + 24;
  if (size < leastRsaBits || size > mostRsaBits) throw weak(`RSA must have ${leastRsaBits} to ${mostRsaBits} bits`);
  const exponent = e.length === 3 || e.length === 4 ? e.readUIntBE(0, e.length) : 0;
  if (exponent < 65537 || exponent % 2 === 0) throw weak('the exponent of RSA must be 65537');
  return { kty: 'RSA', n: base64url(n), e: base64url(e) };
}

const base64url = (bytes: Buffer) => bytes.toString('base64url');
const bytesOf = (text: string | undefined) => Buffer.from(text ?? '', 'base64url');

/** The SubjectPublicKeyInfo of a key that was read with `readSpki` or `importPublicJwk`. @throws ProtocolError `weak_key` */
export function spkiOf(jwk: PublicJwk): Buffer {
  const curve = curves.find(({ crv }) => jwk.kty === 'EC' && jwk.crv === crv);
  if (curve !== undefined) {
    const [x, y] = [bytesOf(jwk.x), bytesOf(jwk.y)];
    if (x.length !== curve.bytes || y.length !== curve.bytes) throw weak('its point has a wrong length');
    return sequence(curve.algorithm, bitString(Buffer.concat([Buffer.of(4), x, y])));
  }
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') return sequence(ed25519, bitString(bytesOf(jwk.x)));
  if (jwk.kty === 'RSA') {
    return sequence(rsaEncryption, bitString(sequence(integer(bytesOf(jwk.n)), integer(bytesOf(jwk.e)))));
  }
  throw weak('it must be ECDSA on P-256 or P-384, Ed25519, or RSA');
}

interface SignatureScheme {
  algorithm: Buffer;
  hash: string | null;
  kty: string;
  pss?: number;
}

const hashes = [
  { hash: 'sha256', oid: '2.16.840.1.101.3.4.2.1', bytes: 32, rsa: 11, ecdsa: 2 },
  { hash: 'sha384', oid: '2.16.840.1.101.3.4.2.2', bytes: 48, rsa: 12, ecdsa: 3 },
  { hash: 'sha512', oid: '2.16.840.1.101.3.4.2.3', bytes: 64, rsa: 13, ecdsa: 4 },
] as const;

/** RFC 4055 §3.1: everything written out, the mask by the same hash, a salt as long as the hash. */
function pssAlgorithm(hashOid: string, saltBytes: number): Buffer {
  const hash = sequence(oid(hashOid), der(tags.null));
  return sequence(
    oid('1.2.840.113549.1.1.10'),
    sequence(
      der(0xa0, hash),
      der(0xa1, sequence(oid('1.2.840.113549.1.1.8'), hash)),
      der(0xa2, integer(Buffer.of(saltBytes))),
    ),
  );
}

/** What signatures are made with that are believed; SHA-1 and MD5 are not among them. */
const schemes: readonly SignatureScheme[] = [
  ...hashes.map(({ hash, ecdsa }) => ({ algorithm: sequence(oid(`1.2.840.10045.4.3.${ecdsa}`)), hash, kty: 'EC' })),
  { algorithm: ed25519, hash: null, kty: 'OKP' },
  ...hashes.map(({ hash, rsa }) => ({
    algorithm: sequence(oid(`1.2.840.113549.1.1.${rsa}`), der(tags.null)),
    hash,
    kty: 'RSA',
  })),
  ...hashes.map(({ hash, oid: id, bytes }) => ({ algorithm: pssAlgorithm(id, bytes), hash, kty: 'RSA', pss: bytes })),
];

/** What we sign certificates with. @see RFC 5758 §3.2 */
export const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));

/** The key of a SubjectPublicKeyInfo, ready to verify with. @throws ProtocolError `weak_key` */
export function publicKeyOf(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch {
    throw weak('it is not valid');
  }
}

/**
 * Was this signed by this key, with this algorithm (an AlgorithmIdentifier)?
 * @param kty of the key, as its JWK says
 * @throws ProtocolError `unsupported_algorithm` when it is none of ours: SHA-1 and MD5 are not
 */
export function signatureHolds(
  signed: { bytes: Buffer; algorithm: Buffer; signature: Buffer },
  key: KeyObject,
  kty: string,
): boolean {
  const scheme = schemes.find(({ algorithm }) => algorithm.equals(signed.algorithm));
  if (scheme === undefined) {
    throw new ProtocolError(
      'unsupported_algorithm',
      'the certificate must be signed with ECDSA, Ed25519 or RSA, and SHA-2',
    );
  }
  if (scheme.kty !== kty) return false;
  const input =
    scheme.pss === undefined ? key : { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: scheme.pss };
  return verify(scheme.hash, signed.bytes, input, signed.signature);
}
