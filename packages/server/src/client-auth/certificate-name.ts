/** Whether a certificate carries the name that was registered: compared part by part, in one spelling. */
import { ProtocolError } from '@bailiwick/protocol';
import type { CertificateSubject } from '../credentials/credential.ts';
import { attributeNames, formatName, type NameAttribute } from '../credentials/distinguished-name.ts';
import { canonicalSubject } from '../credentials/subject.ts';
import { atEnd, oidOf, only, readerOf, tags, take } from '../lib/der.ts';
import { readCertificate } from '../lib/x509.ts';
import type { VerifiedLeaf } from '../lib/x509-verify.ts';

/**
 * Whether the leaf of a chain that holds carries the registered name: its whole subject, or one of its alternative names
 * of exactly that kind.
 * @param der the leaf
 * @see RFC 8705 §2.1.2, RFC 4514
 */
export function carriesName(leaf: VerifiedLeaf, der: Buffer, { field, value }: CertificateSubject): boolean {
  if (field === 'subject_dn') return subjectOf(leaf, der) === value;
  const names = { san_dns: leaf.dnsNames, san_uri: leaf.uris, san_ip: leaf.ips, san_email: leaf.emails }[field];
  return names.some((name) => spelled(field, name) === value);
}

const subjects = new WeakMap<VerifiedLeaf, { name: string | undefined }>();

/** A leaf that was verified is remembered, and so is its subject. */
function subjectOf(leaf: VerifiedLeaf, der: Buffer): string | undefined {
  let known = subjects.get(leaf);
  if (known === undefined) {
    known = { name: subjectName(readCertificate(der).subject) };
    subjects.set(leaf, known);
  }
  return known.name;
}

/** A name in the spelling that it would be registered in; what could not be registered (a wildcard, say) is nobody's. */
function spelled(field: CertificateSubject['field'], name: string): string | undefined {
  try {
    return canonicalSubject(field, name);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** A DER name in the one spelling of `canonicalName`; undefined for a name that can't be registered. */
function subjectName(der: Buffer): string | undefined {
  const parts: NameAttribute[][] = [];
  const names = readerOf(only(der, tags.sequence).content);
  while (!atEnd(names)) {
    const attributes: NameAttribute[] = [];
    const set = readerOf(take(names, tags.set).content);
    while (!atEnd(set)) {
      const pair = readerOf(take(set, tags.sequence).content);
      const type = oidOf(take(pair, tags.oid));
      const { tag, content } = take(pair);
      const text = tag === tags.utf8String || tag === tags.printableString || tag === tags.ia5String;
      const value = content.toString('utf8');
      // what isn't UTF-8, or no text, has no spelling that an administrator could have written
      if (!text || value === '' || !Buffer.from(value).equals(content)) return undefined;
      attributes.push({ type: attributeNames[type] ?? type, value });
    }
    parts.unshift(attributes); // RFC 4514 §2.1: the last of them first
  }
  return parts.length === 0 ? undefined : formatName(parts);
}
