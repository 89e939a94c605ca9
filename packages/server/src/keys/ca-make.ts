/** Makes authorities: a root signs itself, an intermediate is signed by its root. Each is checked again after it is signed. */
import { createPrivateKey } from 'node:crypto';
import { type PrivateJwk, publicJwk, sha256Base64url } from '@bailiwick/protocol';
import type { AtRest } from '../lib/at-rest.ts';
import type { Random } from '../lib/random.ts';
import { checkIssued, type Wanted } from '../lib/x509-check.ts';
import { publicKeyOf, spkiOf } from '../lib/x509-key.ts';
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
  const wanted: Wanted = {
    serial: serialNumber(deps.random),
    subject: name,
    publicKey: publicJwk(jwk),
    notBefore: now - backdatedMs,
    notAfter: what.expiresAt,
    uri: `spiffe://${deps.config.trust_domain}`,
    pathLength: what.pathLength,
  };
  const der = signCertificate(
    {
      ...wanted,
      spki,
      extensions: [
        ...authorityExtensions(what.pathLength),
        subjectKeyIdentifier(keyIdentifier),
        authorityKeyIdentifier(issuer.keyIdentifier),
        alternativeNames(wanted),
      ],
    },
    issuer,
  );
  const certificate = checkIssued(der, wanted, root ?? { publicKey: publicKeyOf(spki) });
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
