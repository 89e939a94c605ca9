import { isLoopback } from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';

/**
 * Reads a URL that a credential may go to: https, or http on this machine; no user name or password in it.
 * @throws BailiwickError `bad_url` or `insecure_url`
 */
export function safeUrl(text: string | URL, what: string): URL {
  const url = URL.parse(String(text));
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new BailiwickError('bad_url', `${what} is not an absolute http(s) URL`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new BailiwickError('bad_url', `${what} has a user name or password in it`, {
      hint: 'take it out: the agent authenticates by its key',
    });
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw new BailiwickError('insecure_url', `${what} is plain http on another machine: ${shown(url)}`, {
      hint: 'use https; plain http is for localhost only',
    });
  }
  return url;
}

/** A URL as errors may show it: without its query, which may hold what isn't for logs. */
export function shown(url: URL): string {
  const path = url.pathname.length > 100 ? `${url.pathname.slice(0, 100)}…` : url.pathname;
  return url.origin + path;
}
