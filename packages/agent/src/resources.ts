import {
  type Challenge,
  isPrintable,
  parseChallenges,
  protectedResourceMetadataUrl,
  resourceCovers,
} from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';
import { ask } from './http.ts';
import type { Deps } from './options.ts';
import { singleFlight } from './single-flight.ts';
import { shown } from './urls.ts';

/** A protected resource that may have tokens from us. */
export interface Resource {
  identifier: string;
  /** Does it say that it takes bound tokens only? */
  boundOnly: boolean;
  /** Does it say that a certificate binds as well as a key? */
  takesCertificates: boolean;
}

export interface Resources {
  /** The resource that protects this URL, from memory or by discovery. */
  covering(url: URL): Promise<Resource>;
  /** Looks again, because the host points at other metadata than we know. */
  rediscover(url: URL, metadataUrl: string): Promise<Resource>;
}

const step = 'finding out which API this is';
const keptMs = 3_600_000;
const maxKept = 500;

/** Knows the resources met so far. Failures are not remembered. */
export function createResources(deps: Deps): Resources {
  const flight = singleFlight<Resource>();
  const known = new Map<string, Resource & { until: number }>();

  function remember(resource: Resource): Resource {
    known.delete(resource.identifier);
    known.set(resource.identifier, { ...resource, until: deps.now() + keptMs });
    if (known.size > maxKept) known.delete(known.keys().next().value as string);
    return resource;
  }

  /** The longest one: `/api/admin` may be an API of its own within `/api`. */
  function remembered(url: URL): Resource | undefined {
    let best: Resource | undefined;
    for (const resource of known.values()) {
      if (resource.until <= deps.now() || !resourceCovers(resource.identifier, url.href)) continue;
      if (best === undefined || resource.identifier.length > best.identifier.length) best = resource;
    }
    return best;
  }

  return {
    async covering(url) {
      return remembered(url) ?? flight(addressOf(url), async () => remember(await discover(deps, url)));
    },
    async rediscover(url, metadataUrl) {
      const key = `${addressOf(url)} ${metadataUrl}`;
      return flight(key, async () => remember(await readNamed(deps, url, metadataUrl)));
    },
  };
}

function addressOf(url: URL): string {
  return url.origin + url.pathname;
}

/**
 * Finds the resource of a URL without giving anything away: an anonymous request for nothing but the challenge, or the well-known places.
 * @throws BailiwickError `resource_unknown`, `resource_refused`, `issuer_not_listed`, and what `ask` throws
 * @see RFC 9728 §3 and §5
 */
async function discover(deps: Deps, url: URL): Promise<Resource> {
  // Without the query: should this host turn out not to be one of ours, it has learned no more than it must.
  const bare = new URL(addressOf(url));
  const { headers } = await ask(deps, step, bare, { method: 'HEAD' });
  const named = challengesOf(headers).find(({ params }) => params.resource_metadata !== undefined)?.params;
  if (named?.resource_metadata !== undefined) return readNamed(deps, url, named.resource_metadata);
  const places = new Set([protectedResourceMetadataUrl(bare.href), protectedResourceMetadataUrl(bare.origin)]);
  for (const place of places) {
    const resource = await readMetadata(deps, url, new URL(place));
    if (resource !== undefined) return resource;
  }
  throw new BailiwickError('resource_unknown', `${step}: ${shown(url)} publishes no protected resource metadata`, {
    hint: 'if it is behind a guard, check the address; if it needs no token, call it with plain fetch',
  });
}

/** The challenges in an answer; a header that can't be read challenges nobody. */
export function challengesOf(headers: Headers): Challenge[] {
  try {
    return parseChallenges(headers.get('www-authenticate') ?? '');
  } catch {
    return [];
  }
}

async function readNamed(deps: Deps, url: URL, metadataUrl: string): Promise<Resource> {
  const place = URL.parse(metadataUrl);
  if (place === null || place.origin !== url.origin || place.username !== '' || place.password !== '') {
    throw refused(url, 'points to metadata on another host');
  }
  const resource = await readMetadata(deps, url, place);
  if (resource === undefined) {
    throw new BailiwickError('resource_unknown', `${step}: ${shown(url)} points to metadata that isn't there`);
  }
  return resource;
}

/** The resource that a metadata document describes, or undefined if there is none at this place. */
async function readMetadata(deps: Deps, url: URL, place: URL): Promise<Resource | undefined> {
  const { status, json } = await ask(deps, step, place, { headers: { accept: 'application/json' } });
  if (status !== 200 || json === undefined) return undefined;
  const { resource, authorization_servers: servers } = json;
  // Printable and without spaces: its spelling may stand in an error, and is the host's choice.
  if (!isPrintable(resource, 2048) || resource.includes(' ') || !resourceCovers(resource, url.href)) {
    throw refused(url, 'publishes metadata of an API that does not cover it');
  }
  if (protectedResourceMetadataUrl(resource) !== place.href) {
    throw refused(url, 'publishes metadata of an API whose metadata belongs elsewhere');
  }
  if (!Array.isArray(servers) || !servers.includes(deps.issuer)) {
    throw new BailiwickError('issuer_not_listed', `${step}: ${shown(url)} does not take tokens from ${deps.issuer}`, {
      hint: 'no token was asked for or sent; if this API is yours, list the issuer in its guard',
    });
  }
  return {
    identifier: resource,
    boundOnly: json.dpop_bound_access_tokens_required === true,
    takesCertificates: json.tls_client_certificate_bound_access_tokens === true,
  };
}

function refused(url: URL, what: string): BailiwickError {
  return new BailiwickError('resource_refused', `${step}: ${shown(url)} ${what}`, {
    hint: 'no token was asked for or sent; do not trust this host before you know why',
  });
}
