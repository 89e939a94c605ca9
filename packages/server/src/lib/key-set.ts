/** The public keys by which others sign, as they publish them. @see RFC 7517 §5 */
import { importPublicJwk, type JwsAlgorithm, ProtocolError, type VerificationKey } from '@bailiwick/protocol';
import { FetchError, type SafeFetch } from './safe-fetch.ts';

const maxBytes = 64 * 1024;
const mostKeys = 50;

export interface FetchedKeySet {
  /** As it was received. */
  text: string;
  /** For how long whoever publishes it lets it be kept (milliseconds), if it says. @see RFC 9111 §5.2.2 */
  maxAgeMs: number | undefined;
}

/** Gets a key set. @throws FetchError */
export async function fetchKeySet(deps: { fetch: SafeFetch }, url: string): Promise<FetchedKeySet> {
  const { body, headers } = await deps.fetch(url, {
    types: ['application/jwk-set+json', 'application/json'],
    maxBytes,
  });
  const text = body.toString('utf8');
  if (keysIn(text) === undefined) throw new FetchError('unusable', `${new URL(url).host} did not send a key set`);
  return { text, maxAgeMs: maxAgeOf(headers['cache-control']) };
}

/** The keys of a set by which a JWS can be signed that names this algorithm, and this `kid` if it names one. */
export function keysFor(text: string, { alg, kid }: { alg: JwsAlgorithm; kid: unknown }): VerificationKey[] {
  return (keysIn(text) ?? []).flatMap((jwk) => {
    if (kid !== undefined && (jwk as { kid?: unknown } | null)?.kid !== kid) return [];
    try {
      return [{ alg, key: importPublicJwk(jwk, alg).key }];
    } catch (error) {
      // others may have keys in their set that we don't know
      if (error instanceof ProtocolError) return [];
      throw error;
    }
  });
}

function keysIn(text: string): unknown[] | undefined {
  try {
    const { keys } = JSON.parse(text) as { keys?: unknown };
    return Array.isArray(keys) ? keys.slice(0, mostKeys) : undefined;
  } catch {
    return undefined;
  }
}

function maxAgeOf(cacheControl: string | undefined): number | undefined {
  const directives = (cacheControl ?? '').toLowerCase().split(',');
  if (directives.some((each) => /^\s*no-(store|cache)\b/.test(each))) return 0;
  const [, seconds] = directives.map((each) => /^\s*max-age="?(\d{1,9})"?\s*$/.exec(each)).find(Boolean) ?? [];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
