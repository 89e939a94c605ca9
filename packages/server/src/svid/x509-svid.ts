/**
 * X.509-SVIDs: a template says what a certificate may say, the authority signs, and what was signed is read again before
 * anybody gets it.
 * @see X509-SVID (SPIFFE)
 */
import { importPublicJwk, type PublicJwk, parseSpiffeId } from '@bailiwick/protocol';
import { type CaDeps, type SigningAuthority, signingAuthority } from '../keys/ca.ts';
import { backdatedMs, longestLeafMs } from '../keys/ca-schedule.ts';
import { pemOf } from '../lib/x509.ts';
import { checkIssued, type Wanted } from '../lib/x509-check.ts';
import { spkiOf } from '../lib/x509-key.ts';
import { userId } from '../lib/x509-name.ts';
import {
  alternativeNames,
  authorityKeyIdentifier,
  keyIdentifierOf,
  leafExtensions,
  serialNumber,
  signCertificate,
  subjectKeyIdentifier,
} from '../lib/x509-write.ts';

/** What is asked for. The caller has proven that whoever gets it holds the private key. */
export interface X509SvidRequest {
  spiffeId: string;
  publicKey: PublicJwk;
  /** Milliseconds. It ends then or before: with its authority, if that ends sooner. */
  notAfter: number;
  dnsNames?: readonly string[] | undefined;
  ipAddresses?: readonly string[] | undefined;
  template: keyof typeof templates;
}

export interface X509Svid {
  /** PEM of the leaf. */
  certificate: string;
  /** PEM of the leaf and what leads to the root, without that. */
  chain: string;
  /** The same as DER. */
  der: Buffer[];
  /** `x5t#S256` of the leaf. */
  x5t: string;
  /** Hex. */
  serial: string;
  /** Milliseconds. */
  notBefore: number;
  notAfter: number;
}

interface Template {
  /** What comes behind the trust domain. */
  path(path: readonly string[]): boolean;
  ipAddresses: boolean;
}

/** The last segment of the server's own names; no organization can be called like its first. */
export const serverPath = ['_bailiwick', 'server'] as const;

/** What a certificate may say, by what it is for. */
export const templates = {
  instance: {
    path: ([org, , id, ...rest]) => isName(org) && isId(id) && rest.length === 0,
    ipAddresses: false,
  },
  server: { path: (path) => path.join('/') === serverPath.join('/'), ipAddresses: true },
} as const satisfies Record<string, Template>;

const isName = (segment: string | undefined) => segment !== undefined && /^[a-z0-9]/.test(segment);
const isId = (segment: string | undefined) => segment?.startsWith('ins_') ?? false;

/**
 * Issues an X.509-SVID by the authority that signs now.
 * @param version of the registry, as `asOf` reads it
 * @throws ProtocolError for a key that nobody should rely on; Error for what no template allows, which is a caller's mistake
 */
export async function issueX509Svid(deps: CaDeps, version: number, request: X509SvidRequest): Promise<X509Svid> {
  const authority = await signingAuthority(deps, version);
  const { intermediate } = authority;
  const now = deps.clock.now();
  const wanted = wantedOf(deps, request, authority, now);
  const spki = spkiOf(wanted.publicKey);
  const der = signCertificate(
    {
      serial: wanted.serial,
      subject: wanted.subject,
      spki,
      notBefore: wanted.notBefore,
      notAfter: wanted.notAfter,
      extensions: [
        ...leafExtensions,
        alternativeNames(wanted),
        subjectKeyIdentifier(keyIdentifierOf(spki)),
        authorityKeyIdentifier(intermediate.keyIdentifier),
      ],
    },
    intermediate,
  );
  const issued = checkIssued(der, wanted, intermediate);
  const certificate = pemOf(der);
  return {
    certificate,
    chain: certificate + intermediate.pem,
    der: [der, intermediate.certificate.der],
    x5t: issued.x5t,
    serial: issued.serial,
    notBefore: issued.notBefore,
    notAfter: issued.notAfter,
  };
}

function wantedOf(deps: CaDeps, request: X509SvidRequest, { intermediate }: SigningAuthority, now: number): Wanted {
  const { spiffeId, publicKey } = request;
  const template: Template = templates[request.template];
  const { trustDomain, path } = parseSpiffeId(spiffeId);
  if (trustDomain !== deps.config.trust_domain || !template.path(path)) {
    throw new Error(`a certificate for ${request.template} can't be issued to ${spiffeId}`);
  }
  if (!template.ipAddresses && request.ipAddresses?.length) {
    throw new Error(`no addresses in a certificate for ${request.template}`);
  }
  for (const name of request.dnsNames ?? []) if (!isDnsName(name)) throw new Error(`${name} is no DNS name`);
  if (request.notAfter - now > longestLeafMs) throw new Error('a certificate of ours ends within 24 hours');
  const notAfter = Math.floor(Math.min(request.notAfter, intermediate.expiresAt) / 1000) * 1000;
  if (notAfter <= now) throw new Error('a certificate must end after it begins');
  const { jwk } = importPublicJwk(
    publicKey,
    publicKey.kty === 'RSA' && publicKey.alg === undefined ? 'RS256' : undefined,
  );
  return {
    serial: serialNumber(deps.random),
    subject: userId(spiffeId),
    publicKey: jwk,
    notBefore: Math.floor((now - backdatedMs) / 1000) * 1000,
    notAfter,
    uri: spiffeId,
    dnsNames: request.dnsNames,
    ipAddresses: request.ipAddresses,
  };
}

const isDnsName = (name: string) =>
  name.length <= 253 &&
  /^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name);
