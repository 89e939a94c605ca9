import { isJsonObject } from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';
import type { Answer } from './http.ts';
import { ask } from './http.ts';
import { type Deps, isNoDowngrade } from './options.ts';
import { singleFlight } from './single-flight.ts';
import { safeUrl, shown } from './urls.ts';

/** What we need to know of the issuer. */
export interface Issuer {
  /**
   * @param mutualTls the one that asks for a certificate, if the issuer has one apart (RFC 8705 §5)
   */
  tokenEndpoint(mutualTls: boolean): Promise<URL>;
  /**
   * The audience of its transaction tokens.
   * @throws BailiwickError `no_transactions` for an issuer that gives none
   */
  trustDomain(): Promise<string>;
}

interface Endpoints {
  plain: URL;
  mutualTls: URL;
  trustDomain: string | undefined;
}

const step = "reading the issuer's metadata";
const keptMs = 3_600_000;

/** Knows the issuer's token endpoints, from its metadata, read when first needed and once an hour. */
export function createIssuer(deps: Deps): Issuer {
  const flight = singleFlight<Endpoints>();
  let known: { endpoints: Endpoints; until: number } | undefined;
  return {
    async tokenEndpoint(mutualTls) {
      const { plain, mutualTls: apart } = await endpoints();
      return mutualTls ? apart : plain;
    },
    async trustDomain() {
      const { trustDomain } = await endpoints();
      if (trustDomain !== undefined) return trustDomain;
      throw new BailiwickError('no_transactions', `${deps.issuer} gives no transaction tokens`);
    },
  };

  async function endpoints(): Promise<Endpoints> {
    if (known !== undefined && deps.now() < known.until) return known.endpoints;
    return flight('metadata', async () => {
      const endpoints = await readEndpoints(deps);
      known = { endpoints, until: deps.now() + keptMs };
      return endpoints;
    });
  }
}

/**
 * Reads the metadata of our issuer, which must say that it is exactly our issuer.
 * @throws BailiwickError `issuer_unknown`, `issuer_mismatch`, and what `ask` throws
 * @see RFC 8414 §3
 */
async function readEndpoints(deps: Deps): Promise<Endpoints> {
  const issuer = safeUrl(deps.issuer, 'issuer');
  const url = metadataUrl(issuer);
  const answer = await ask(deps, step, url, { headers: { accept: 'application/json' } });
  const metadata = metadataOf(answer, url);
  if (metadata.issuer !== deps.issuer) {
    throw new BailiwickError('issuer_mismatch', `${step}: ${shown(url)} belongs to an issuer of another name`, {
      hint: 'set issuer to exactly what the server calls itself, slash and port included',
    });
  }
  if (typeof metadata.token_endpoint !== 'string') {
    throw new BailiwickError('issuer_unknown', `${step}: ${shown(url)} names no token_endpoint`);
  }
  const { mtls_endpoint_aliases: aliases, bailiwick_trust_domain: trustDomain } = metadata;
  const alias =
    isJsonObject(aliases) && typeof aliases.token_endpoint === 'string' ? aliases.token_endpoint : undefined;
  return {
    plain: endpointOf(issuer, metadata.token_endpoint),
    mutualTls: endpointOf(issuer, alias ?? metadata.token_endpoint),
    trustDomain: typeof trustDomain === 'string' && trustDomain !== '' ? trustDomain : undefined,
  };
}

function endpointOf(issuer: URL, address: string): URL {
  const endpoint = safeUrl(address, 'the token endpoint');
  if (!isNoDowngrade(issuer, endpoint)) {
    throw new BailiwickError('insecure_url', `${step}: the token endpoint is plain http though the issuer is https`);
  }
  return endpoint;
}

function metadataUrl(issuer: URL): URL {
  const path = issuer.pathname.replace(/\/$/, '');
  return new URL(`/.well-known/oauth-authorization-server${path}`, issuer.origin);
}

function metadataOf({ status, json }: Answer, url: URL): NonNullable<Answer['json']> {
  if (status === 200 && json !== undefined) return json;
  throw new BailiwickError('issuer_unknown', `${step}: ${shown(url)} answered ${status} and no metadata`, {
    status,
    hint: 'is this the address of an authorization server?',
  });
}
