/** Where the keys of an issuer are, by what it publishes of itself. */
import type { Deps } from '../deps.ts';
import { FetchError, urlFault } from '../lib/safe-fetch.ts';
import { invalid, Problem } from '../web/problem.ts';

/** @throws Problem 422 naming the field */
export function checkedAddress(field: string, url: string): string {
  const fault = urlFault(url);
  if (fault !== undefined) throw invalid(field, fault);
  return url;
}

/** The documents in which issuers describe themselves. OpenID Connect has it behind the path, RFC 8414 §3.1 and SSF between host and path. */
const documents = {
  openid: (origin: string, path: string) => `${origin}${path}/.well-known/openid-configuration`,
  oauth: (origin: string, path: string) => `${origin}/.well-known/oauth-authorization-server${path}`,
  ssf: (origin: string, path: string) => `${origin}/.well-known/ssf-configuration${path}`,
};

/**
 * The `jwks_uri` of the first of these documents that is there. It has to name this very issuer.
 * @throws Problem 422
 * @see OpenID Connect Discovery §4.3, RFC 8414 §3.3, SSF 1.0 §7.2
 */
export async function publishedKeys(
  deps: Pick<Deps, 'fetch'>,
  issuer: string,
  kinds: readonly (keyof typeof documents)[],
): Promise<string> {
  const { origin, pathname } = new URL(checkedAddress('issuer', issuer));
  const path = pathname.replace(/\/$/, '');
  const todo = 'name its keys by jwks_uri';
  let fault: Problem | undefined;
  for (const kind of kinds) {
    try {
      const { body } = await deps.fetch(documents[kind](origin, path), {
        types: ['application/json'],
        maxBytes: 64 * 1024,
      });
      const { issuer: named, jwks_uri: keys } = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
      if (named !== issuer) throw invalid('issuer', `calls itself otherwise in its metadata: ${todo}`);
      if (typeof keys !== 'string') throw invalid('issuer', `names no jwks_uri in its metadata: ${todo}`);
      return checkedAddress('issuer', keys);
    } catch (error) {
      fault ??= faultOf(error, todo);
    }
  }
  throw fault ?? invalid('issuer', todo);
}

function faultOf(error: unknown, todo: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof FetchError) {
    return invalid('issuer', `its metadata can't be had (${error.message}): ${todo}`);
  }
  if (error instanceof SyntaxError || error instanceof TypeError) {
    return invalid('issuer', `its metadata is no JSON object: ${todo}`);
  }
  throw error;
}
