import { ProtocolError } from './errors.ts';

const wellKnown = '/.well-known/oauth-protected-resource';

/**
 * Where a resource publishes its metadata: the well-known path goes between host and path.
 * @throws ProtocolError `bad_resource` unless the resource is an http(s) URL without fragment and user info
 * @see RFC 9728 §3.1
 */
export function protectedResourceMetadataUrl(resource: string): string {
  const url = httpUrl(resource);
  if (url === undefined || resource.includes('#')) {
    throw new ProtocolError('bad_resource', 'a resource is an absolute http(s) URL without fragment or user name');
  }
  const path = url.pathname === '/' ? '' : url.pathname;
  return `${url.origin}${wellKnown}${path}${url.search}`;
}

/**
 * Does this resource cover this URL: same origin, and its path a prefix by whole segments? `/api` covers `/api` and `/api/x`, not `/apix`.
 * Never throws: what can't be read isn't covered.
 */
export function resourceCovers(resource: string, url: string): boolean {
  const base = httpUrl(resource);
  const target = httpUrl(url);
  if (base === undefined || target === undefined || base.origin !== target.origin) return false;
  if (resource.includes('#') || resource.includes('?')) return false;
  const prefix = base.pathname;
  const path = target.pathname;
  if (hidesDotSegment(path) || hidesDotSegment(prefix)) return false;
  if (path === prefix) return true;
  return path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
}

function httpUrl(text: string): URL | undefined {
  const url = typeof text === 'string' ? URL.parse(text) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined;
  return url.username === '' && url.password === '' ? url : undefined;
}

/** `URL` resolves `/../`, but not `/..%2f`, which a server that decodes first would resolve out of the prefix. */
function hidesDotSegment(path: string): boolean {
  if (!path.includes('%')) return false;
  const segments = path.replace(/%2e/gi, '.').split(/\/|%2f|%5c/i);
  return segments.some((segment) => segment === '.' || segment === '..');
}
