import { ProtocolError } from './errors.ts';

/** A SPIFFE ID taken apart. Without path it names the trust domain itself. */
export interface SpiffeId {
  trustDomain: string;
  path: readonly string[];
}

const scheme = 'spiffe://';
const longest = 2048;
const domain = /^[a-z0-9._-]{1,255}$/;
const segment = /^[A-Za-z0-9._-]+$/;

/**
 * Reads a SPIFFE ID in its one canonical form. Nothing is normalized, so that two spellings can't be one identity: the scheme and the trust
 * domain are lower case; no port, user, query or fragment; no percent-encoding; no empty, `.` or `..` segment.
 * @throws ProtocolError `bad_spiffe_id`
 * @see SPIFFE-ID §2
 */
export function parseSpiffeId(text: unknown): SpiffeId {
  if (typeof text !== 'string' || !text.startsWith(scheme)) throw bad('it must begin with spiffe://');
  if (text.length > longest) throw bad(`it must have at most ${longest} bytes`);
  const [trustDomain = '', ...path] = text.slice(scheme.length).split('/');
  if (!domain.test(trustDomain)) {
    throw bad('its trust domain must be 1 to 255 lowercase letters, digits, dots, hyphens or underscores');
  }
  for (const part of path) {
    if (!segment.test(part)) {
      throw bad('the segments of its path must be letters, digits, dots, hyphens or underscores, and not be empty');
    }
    if (part === '.' || part === '..') throw bad('its path must not have . or .. as a segment');
  }
  return { trustDomain, path };
}

/** Are these the ids of one trust domain? What is no SPIFFE ID is in none. */
export function sameTrustDomain(a: string, b: string): boolean {
  const first = trustDomainOf(a);
  return first !== undefined && first === trustDomainOf(b);
}

function trustDomainOf(text: string): string | undefined {
  try {
    return parseSpiffeId(text).trustDomain;
  } catch {
    return undefined;
  }
}

const bad = (what: string) => new ProtocolError('bad_spiffe_id', `this is no SPIFFE ID: ${what}`);
