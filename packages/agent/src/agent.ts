import { BailiwickError } from './errors.ts';
import { type AgentFetch, createFetch } from './fetch.ts';
import { createIssuer } from './issuer.ts';
import { createNonces } from './nonces.ts';
import { type AgentOptions, depsFrom, scopeList } from './options.ts';
import { createResources } from './resources.ts';
import { createTokenRequester, type HeldToken } from './token-request.ts';
import { createTokens } from './tokens.ts';
import { safeUrl } from './urls.ts';

/** What may be known of a token by everyone. */
export interface TokenInfo {
  /** The API it is for, if it was named. */
  readonly resource: string | undefined;
  readonly scope: readonly string[];
  readonly tokenType: 'DPoP' | 'Bearer';
  /** In ms. */
  readonly expiresAt: number;
  /** The token itself. Whoever has it, and the key if it is bound, is the agent: keep it out of prompts, logs and variables. */
  dangerouslyExposeToken(): string;
}

export interface Agent {
  readonly issuer: string;
  readonly clientId: string;
  /** `fetch`, with a token that is found, bound, kept and renewed behind the scenes. */
  readonly fetch: AgentFetch;
  /** Gets a token and says what it is, for tools that show or test it. Calling an API takes only `fetch`. */
  token(wanted?: { resource?: string; scope?: string | readonly string[] }): Promise<TokenInfo>;
}

/**
 * Makes an agent of its registration: issuer, id and key. Nothing is sent before the first call.
 *
 * Everything secret is held in closures: `util.inspect`, `JSON.stringify` and errors have nothing to show.
 *
 * @throws BailiwickError `bad_option`, `bad_url`, `insecure_url`, `bad_key`, …
 */
export function createAgent(options: AgentOptions): Agent {
  const deps = depsFrom(options);
  const nonces = createNonces();
  const resources = createResources(deps);
  const request = createTokenRequester(deps, createIssuer(deps), nonces);
  const tokens = createTokens(deps.now, request);

  return Object.freeze({
    issuer: deps.issuer,
    clientId: deps.clientId,
    fetch: createFetch({ deps, nonces, resources, tokens, proofNow: request.now }),
    async token(wanted: { resource?: string; scope?: string | readonly string[] } = {}) {
      const resource = wanted.resource ?? deps.resource;
      if (resource !== undefined) checkResource(resource);
      return tokenInfo(await tokens.get({ resource, scope: scopeList(wanted.scope) ?? deps.scope }));
    },
  });
}

function checkResource(resource: string): void {
  if (safeUrl(resource, 'resource').hash === '') return;
  throw new BailiwickError('bad_option', 'resource has a fragment', { hint: 'leave out # and what follows' });
}

function tokenInfo({ value, type, scope, resource, expiresAt }: HeldToken): TokenInfo {
  return Object.freeze({
    resource,
    scope: [...scope],
    tokenType: type,
    expiresAt,
    dangerouslyExposeToken: () => value,
  });
}
