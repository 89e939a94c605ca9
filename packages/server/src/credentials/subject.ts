/** Names by which certificates and SVIDs are known, in one spelling each, and the thumbprints of such credentials. */
import { isIP, SocketAddress } from 'node:net';
import { ProtocolError, parseSpiffeId, type SpiffeId, sha256Base64url } from '@bailiwick/protocol';
import type { CertificateSubject } from './credential.ts';
import { canonicalName } from './distinguished-name.ts';

const wrong = (message: string) => new ProtocolError('malformed', message);

const label = '[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?';
const hostPattern = new RegExp(`^${label}(\\.${label})*$`);

/** A DNS name in lower case; no wildcard, no dot at its end, no address. */
function dnsName(text: string): string {
  const name = text.toLowerCase();
  if (name.includes('*')) throw wrong('must be one name, without *');
  if (isIP(name) !== 0 || /(^|\.)\d+$/.test(name)) throw wrong('must be a DNS name: an address is a san_ip');
  if (name.length > 253 || !hostPattern.test(name)) throw wrong('must be a DNS name, such as desk.example.com');
  return name;
}

/** An absolute URI; scheme and host in lower case, the rest as it is. */
function uri(text: string): string {
  const [, scheme = '', authority = '', rest = ''] =
    /^([a-z][a-z0-9+.-]*:)(\/\/[^/?#]*)?([!#-;=?-[\]_a-z~]*)$/i.exec(text) ?? [];
  const known = scheme !== '' && authority + rest !== '' && text.length <= 2048 && !/%(?![0-9a-f]{2})/i.test(text);
  if (!known || !URL.canParse(text) || /[^!-~]/.test(text)) {
    throw wrong('must be an absolute URI, such as https://desk.example.com/agent');
  }
  const at = authority.lastIndexOf('@') + 1;
  return scheme.toLowerCase() + authority.slice(0, at) + authority.slice(at).toLowerCase() + rest;
}

/** An address as RFC 5952 writes it. */
function ipAddress(text: string): string {
  const family = isIP(text);
  if (family === 0 || text.includes('%')) throw wrong('must be an IPv4 or IPv6 address, such as 192.0.2.7');
  if (/^::ffff:/i.test(text)) throw wrong('must be written as the IPv4 address that it is');
  return new SocketAddress({ address: text, family: family === 4 ? 'ipv4' : 'ipv6' }).address;
}

/** A mailbox: its domain in lower case, what is before the @ as it is. @see RFC 5280 §7.5 */
function mailbox(text: string): string {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, at);
  if (at < 1 || text.length > 254 || !/^[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*$/.test(local)) {
    throw wrong('must be an e-mail address, such as desk@example.com');
  }
  return `${local}@${dnsName(text.slice(at + 1))}`;
}

const spellings = { subject_dn: canonicalName, san_dns: dnsName, san_uri: uri, san_ip: ipAddress, san_email: mailbox };

/**
 * The one spelling of a name of this kind: an administrator's and a certificate's are the same exactly when these are.
 * @throws ProtocolError `malformed` whose message completes "value …"
 */
export function canonicalSubject(field: CertificateSubject['field'], value: string): string {
  return spellings[field](value);
}

/** What makes a name in certificates unique: the kind, the name, and who must have issued it. */
export function subjectThumbprint({ field, value, ca }: CertificateSubject): string {
  return sha256Base64url(`certificate_subject\0${field}\0${value}\0${ca ?? ''}`);
}

/**
 * Reads a SPIFFE ID as it is registered: one workload, or with `/*` at its end all that are below it.
 * @throws ProtocolError `bad_spiffe_id` whose message completes "spiffe_id …"
 */
export function readSpiffePattern(text: string): SpiffeId & { below: boolean } {
  const below = text.endsWith('/*');
  try {
    return { ...parseSpiffeId(below ? text.slice(0, -2) : text), below };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new ProtocolError(error.code, error.message.replace(/^this is/, 'is'));
  }
}

/** Whether a registered SPIFFE ID or pattern stands for all that another one stands for. */
export function coversSpiffeId(wide: string, narrow: string): boolean {
  return wide === narrow || (wide.endsWith('/*') && narrow.startsWith(wide.slice(0, -1)));
}

/** Under which thumbprint a SPIFFE ID, or a pattern with `/*` at its end, is registered. */
export function spiffeThumbprint(spiffeId: string): string {
  return sha256Base64url(`spiffe_id\0${spiffeId}`);
}
