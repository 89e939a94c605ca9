/** An authority of ours, ready to sign with: what a row of `authorities` says. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { PrivateJwk } from '@bailiwick/protocol';
import type { AtRest } from '../lib/at-rest.ts';
import { type Certificate, pemOf, readCertificate } from '../lib/x509.ts';
import type { Issuer } from '../lib/x509-write.ts';
import type { AuthorityRow } from './ca-store.ts';

export interface Authority extends Issuer {
  /** `x5t#S256` of its certificate. */
  id: string;
  kind: 'root' | 'intermediate';
  /** Of an intermediate: its root. */
  root: string | undefined;
  certificate: Certificate;
  /** The same as PEM. */
  pem: string;
  publicKey: KeyObject;
  createdAt: number;
  /** From when it signs: a root through its first intermediate. */
  signsFrom: number;
  /** Milliseconds. */
  expiresAt: number;
}

/** @throws WrongKey when it is encrypted under another key than the configured one */
export function authorityOf(encryption: AtRest, row: AuthorityRow): Authority {
  const certificate = readCertificate(Buffer.from(row.certificate, 'base64'));
  const jwk = JSON.parse(encryption.open(authorityName(row.id), row.private_key)) as PrivateJwk;
  const key = createPrivateKey({ key: jwk as never, format: 'jwk' });
  const { subject, subjectKeyIdentifier } = certificate;
  if (subjectKeyIdentifier === undefined) throw new Error(`the authority ${row.id} has no key identifier`);
  return {
    id: row.id,
    kind: row.kind,
    root: row.issuer ?? undefined,
    certificate,
    pem: pemOf(certificate.der),
    name: subject,
    keyIdentifier: subjectKeyIdentifier,
    key,
    publicKey: createPublicKey(key),
    createdAt: row.created_at,
    signsFrom: row.signs_from,
    expiresAt: row.expires_at,
  };
}

/** Where the key of an authority lies, for encryption. */
export const authorityName = (id: string): string => `authorities/${id}`;
