/** What we have signed, read again as a stranger would read it: nobody gets a certificate that says anything but what was wanted. */
import type { KeyObject } from 'node:crypto';
import { type PublicJwk, thumbprint } from '@bailiwick/protocol';
import { type Certificate, canonicalAddress, extendedKeyUsages, keyUsages, readCertificate } from './x509.ts';
import { signatureHolds } from './x509-key.ts';
import { keyIdentifierOf } from './x509-write.ts';

/** What a certificate must say, and nothing besides. */
export interface Wanted {
  serial: Buffer;
  /** A Name, in DER. */
  subject: Buffer;
  publicKey: PublicJwk;
  /** Milliseconds; cut to whole seconds. */
  notBefore: number;
  notAfter: number;
  /** Its one URI. */
  uri: string;
  dnsNames?: readonly string[] | undefined;
  ipAddresses?: readonly string[] | undefined;
  /** Of an authority: how many of them may stand below it. A leaf has none. */
  pathLength?: number | undefined;
}

/** Who signed. A certificate is left out by a root, which signs itself. */
export interface Signer {
  publicKey: KeyObject;
  certificate?: Pick<Certificate, 'subject' | 'subjectKeyIdentifier' | 'notAfter'>;
}

const authorityUsages = [keyUsages.keyCertSign, keyUsages.crlSign];
const leafUsages = [keyUsages.digitalSignature];
const leafPurposes = [extendedKeyUsages.server, extendedKeyUsages.client];

/**
 * Compares a certificate that was just signed with what was wanted of it.
 * @param der as it was signed
 * @throws Error which says what differs; ProtocolError where it can't be read at all
 */
export function checkIssued(der: Buffer, wanted: Wanted, signer: Signer): Certificate {
  const issued = readCertificate(der);
  const by = signer.certificate ?? issued;
  const isAuthority = wanted.pathLength !== undefined;
  const { names } = issued;
  const stands = {
    'serial number': issued.serial === wanted.serial.toString('hex'),
    issuer: issued.issuer.equals(by.subject),
    subject: issued.subject.equals(wanted.subject),
    key: thumbprint(issued.publicJwk) === thumbprint(wanted.publicKey),
    'key identifier': same(issued.subjectKeyIdentifier, keyIdentifierOf(issued.spki)),
    'key identifier of the issuer': same(issued.authorityKeyIdentifier, by.subjectKeyIdentifier),
    beginning: issued.notBefore === wholeSeconds(wanted.notBefore),
    end: issued.notAfter === wholeSeconds(wanted.notAfter),
    'end of the issuer': issued.notAfter <= by.notAfter,
    'CA flag': issued.basicConstraints?.ca === isAuthority,
    'path length': issued.basicConstraints?.pathLength === wanted.pathLength,
    'key usage': sameList([...(issued.keyUsage ?? [])], isAuthority ? authorityUsages : leafUsages),
    'extended key usage': sameList(issued.extendedKeyUsage, isAuthority ? [] : leafPurposes),
    'critical extensions': issued.unknownCritical.length === 0,
    'name constraints': !issued.nameConstraints,
    URI: sameList(names?.uris, [wanted.uri]),
    'DNS names': sameList(names?.dnsNames, wanted.dnsNames),
    addresses: sameList(names?.ips, wanted.ipAddresses?.map(canonicalAddress)),
    'other names': names?.emails.length === 0 && names.others === 0,
    signature: signatureHolds(
      { bytes: issued.tbs, algorithm: issued.signatureAlgorithm, signature: issued.signature },
      signer.publicKey,
      'EC',
    ),
  };
  for (const [what, holds] of Object.entries(stands)) {
    if (!holds) throw new Error(`a certificate did not stand the check after it was signed: ${what}`);
  }
  return issued;
}

const same = (a: Buffer | undefined, b: Buffer | undefined) => a !== undefined && b !== undefined && a.equals(b);
const wholeSeconds = (ms: number) => Math.floor(ms / 1000) * 1000;

/** As they stand, in order: we write them in one. */
function sameList<Item>(issued: readonly Item[] = [], wanted: readonly Item[] = []): boolean {
  return issued.length === wanted.length && issued.every((item, i) => item === wanted[i]);
}
