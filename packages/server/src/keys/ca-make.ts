/** Makes authorities: a root signs itself, an intermediate is signed by its root. Each is checked again after it is signed. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { type PrivateJwk, sha256Base64url } from '@bailiwick/protocol';
import type { AtRest } from '../lib/at-rest.ts';
import type { Random } from '../lib/random.ts';
import { readCertificate } from '../lib/x509.ts';
import { signatureHolds, spkiOf } from '../lib/x509-key.ts';
import { commonName } from '../lib/x509-name.ts';
import {
  alternativeNames,
  authorityExtensions,
  authorityKeyIdentifier,
  type Issuer,
  keyIdentifierOf,
  serialNumber,
  signCertificate,
  subjectKeyIdentifier,
} from '../lib/x509-write.ts';
import { type Authority, authorityName, authorityOf } from './authority.ts';
import { backdatedMs, intermediateLifetimeMs, rootLifetimeMs } from './ca-schedule.ts';
import type { AuthorityRow } from './ca-store.ts';

interface MakeDeps {
  random: Random;
  encryption: AtRest;
  config: { trust_domain: string };
}

/** A root that signs, through its first intermediate, from `signsFrom` on (milliseconds). */
export function makeRoot(deps: MakeDeps, jwk: PrivateJwk, { now, signsFrom }: { now: number; signsFrom: number }) {
  return make(deps, jwk, { kind: 'root', pathLength: 1, now, signsFrom, expiresAt: now + rootLifetimeMs });
}

/** An intermediate of this root. */
export function makeIntermediate(
  deps: MakeDeps,
  jwk: PrivateJwk,
  root: Authority,
  { now, signsFrom }: { now: number; signsFrom: number },
) {
  const expiresAt = Math.min(signsFrom + intermediateLifetimeMs, root.certificate.notAfter);
  return make(deps, jwk, { kind: 'intermediate', pathLength: 0, now, signsFrom, expiresAt, root });
}

function make(
  deps: MakeDeps,
  jwk: PrivateJwk,
  what: {
    kind: 'root' | 'intermediate';
    pathLength: number;
    now: number;
    signsFrom: number;
    expiresAt: number;
    root?: Authority;
  },
): { row: AuthorityRow; authority: Authority } {
  const { kind, root, now, signsFrom } = what;
  const key = createPrivateKey({ key: jwk as never, format: 'jwk' });
  const spki = spkiOf(jwk);
  const keyIdentifier = keyIdentifierOf(spki);
  const name = commonName(`Bailiwick ${kind} ${keyIdentifier.toString('hex', 0, 4)}`);
  const issuer: Issuer = root ?? { name, keyIdentifier, key };
  const der = signCertificate(
    {
      serial: serialNumber(deps.random),
      subject: name,
      spki,
      notBefore: now - backdatedMs,
      notAfter: what.expiresAt,
      extensions: [
        ...authorityExtensions(what.pathLength),
        subjectKeyIdentifier(keyIdentifier),
        authorityKeyIdentifier(issuer.keyIdentifier),
        alternativeNames({ uri: `spiffe://${deps.config.trust_domain}` }),
      ],
    },
    issuer,
  );
  const certificate = readCertificate(der);
  const signed = {
    bytes: certificate.tbs,
    algorithm: certificate.signatureAlgorithm,
    signature: certificate.signature,
  };
  const says = certificate.basicConstraints;
  if (!signatureHolds(signed, createPublicKey(issuer.key), 'EC') || says?.pathLength !== what.pathLength) {
    throw new Error(`a new ${kind} did not stand the check after it was signed`);
  }
  const id = sha256Base64url(der);
  const row: AuthorityRow = {
    id,
    kind,
    issuer: root?.id ?? null,
    certificate: der.toString('base64'),
    private_key: deps.encryption.seal(authorityName(id), JSON.stringify(jwk)),
    created_at: now,
    signs_from: signsFrom,
    expires_at: certificate.notAfter,
  };
  return { row, authority: authorityOf(deps.encryption, row) };
}
