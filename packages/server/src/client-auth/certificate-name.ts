/** Whether a certificate carries the name that was registered: compared part by part, in one spelling. */
import { ProtocolError } from '@bailiwick/protocol';
import type { CertificateSubject } from '../credentials/credential.ts';
import { canonicalSubject } from '../credentials/subject.ts';
import type { VerifiedLeaf } from '../lib/x509-verify.ts';

/**
 * Whether the leaf of a chain that holds carries the registered name: its whole subject, or one of its alternative names
 * of exactly that kind.
 * @see RFC 8705 §2.1.2, RFC 4514
 */
export function carriesName(leaf: VerifiedLeaf, { field, value }: CertificateSubject): boolean {
  if (field === 'subject_dn') return leaf.subjectDn === value;
  const names = { san_dns: leaf.dnsNames, san_uri: leaf.uris, san_ip: leaf.ips, san_email: leaf.emails }[field];
  return names.some((name) => spelled(field, name) === value);
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
