/**
 * Who is calling one of our own APIs: the same checks that a guard makes, and the database asked whether the token is
 * still alive.
 * @see RFC 9068 §4, RFC 9449 §7, RFC 6750 §3, RFC 9728 §5.1
 */
import {
  type AccessTokenClaims,
  boundedCache,
  formatChallenge,
  jwsAlgorithms,
  linkTag,
  type ParsedJws,
  ProtocolError,
  parseCompact,
  parseDpopProof,
  protectedResourceMetadataUrl,
  type ReplayMemory,
  readTraceparent,
  validateAccessTokenClaims,
  verifyDpopProof,
  verifyParsed,
} from '@bailiwick/protocol';
import type { Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { verificationKey } from '../keys/keys.ts';
import { futureSeconds } from '../lib/clock.ts';
import { rememberedPer } from '../lib/remember.ts';
import { asOf, type Counter } from '../liveness/liveness.ts';
import type { SystemResource } from '../resources/resource.ts';
import { findSystemResource } from '../resources/store.ts';
import type { Queries, Tx } from '../store/database.ts';
import { outsideOf, tokenEnded } from '../tokens/introspect.ts';
import { spendAll, spendOf } from '../tokens/spend.ts';
import { Problem } from './problem.ts';

/** An agent with a live token for this API, and the key that the token is bound to. */
export interface Caller {
  /** Its id: the token's `client_id`. */
  agent: string;
  /** Its organization's id. */
  org: string;
  scopes: readonly string[];
  jti: string;
  /** Where the request came from, through configured proxies alone. */
  address: string;
  /** As of when the token was looked at. */
  asOf: Counter;
  claims: AccessTokenClaims;
  /** Which key signed the token. */
  kid: string;
  /** The proof of possession, to be spent by a write in its own transaction. */
  proof: Spend;
  /** The `traceparent` that the request came with, if it is a valid one. */
  trace: string | undefined;
}

export interface CallRequest {
  method: string;
  /** The URL that the caller meant, as our metadata names it: never what a `Host` header says. */
  url: string;
  authorization: string | undefined;
  dpop: string | string[] | undefined;
  traceparent?: string | string[] | undefined;
  address: string;
}

/** Which of our own APIs is called, and its identifier. */
export interface OwnApi {
  api: SystemResource;
  resource: string;
}

/**
 * Reads and verifies token and proof.
 * @throws Problem 401 with the challenge that the RFCs ask for
 */
export async function callerOf(
  deps: Deps,
  memory: ReplayMemory,
  { api, resource }: OwnApi,
  request: CallRequest,
): Promise<Caller> {
  const counter = await asOf(deps.db);
  const token = presentedToken(resource, request.authorization);
  const { claims, kid } = await verifiedClaims(deps, counter, { api, resource }, token);
  const { jkt, jti, iat } = provenKey(deps, resource, token, request);
  const bound = claims.cnf?.jkt;
  if (bound === undefined || bound !== jkt || claims.cnf?.['x5t#S256'] !== undefined) {
    throw refused(resource, 'invalid_token', 'the token is not bound to the key of the proof');
  }
  if (outsideOf(deps, claims, request.address) !== undefined) {
    throw refused(resource, 'invalid_token', 'the token may not be used from here and now');
  }
  if (await tokenEnded(deps.db, claims, kid)) throw refused(resource, 'invalid_token', 'the token has been revoked');
  const use = memory.spend({ jkt, jti, issuedAt: iat * 1000 }, deps.clock.now());
  if (use === 'full' || use === 'key_full')
    throw new Problem('unavailable', 'too many proofs at once: try again in a minute', {
      headers: { 'retry-after': '60' },
    });
  if (use !== 'fresh') throw replayed(resource);
  return {
    agent: claims.client_id,
    org: claims.org,
    scopes: claims.scope ? claims.scope.split(' ') : [],
    jti: claims.jti,
    address: request.address,
    asOf: counter,
    claims,
    kid,
    proof: spendOf('dpop', jkt, jti, (iat + deps.config.dpop.proof_max_age_seconds + 1) * 1000),
    trace: readTraceparent(request.traceparent),
  };
}

/**
 * Looks again, inside the transaction of a write, which no revocation can overtake: a token that was ended since it was
 * read changes nothing any more. And spends the proof for all nodes: memories are each node's own.
 * @throws Problem 401
 */
export async function mayWrite(tx: Tx, resource: string, caller: Caller): Promise<void> {
  await mustLive(tx, resource, caller);
  if (await spendAll(tx, [caller.proof])) throw replayed(resource);
}

/** Looks again, for an answer that took its time. @throws Problem 401 if the token was ended since it was read */
export async function mustLive(q: Queries, resource: string, caller: Caller): Promise<void> {
  if (await tokenEnded(q, caller.claims, caller.kid))
    throw refused(resource, 'invalid_token', 'the token has been revoked');
}

/** A 403 that says which scopes a token must have. @see RFC 6750 §3.1 */
export function insufficientScope(resource: string, needed: readonly string[], detail: string): Problem {
  return new Problem('insufficient-scope', detail, {
    headers: challenge(resource, { error: 'insufficient_scope', scope: needed.join(' ') }),
  });
}

function presentedToken(resource: string, authorization: string | undefined): string {
  if (authorization === undefined) {
    // RFC 6750 §3.1: who sent nothing is told what to send, and no error
    throw new Problem('invalid-token', 'send a token: Authorization: DPoP …', { headers: challenge(resource, {}) });
  }
  const [, scheme, token] = /^([A-Za-z]+) +([A-Za-z0-9._~+/-]+=*) *$/.exec(authorization) ?? [];
  if (scheme?.toLowerCase() !== 'dpop' || token === undefined) {
    throw refused(resource, 'invalid_token', 'tokens for this API are bound to a key: use the DPoP scheme');
  }
  return token;
}

/** Tokens whose signature was verified by the key that they name: an agent shows the same one with each request. Nothing else is taken from here. */
const verifiedBefore = boundedCache<ParsedJws>(2_000);

async function verifiedClaims(
  deps: Deps,
  counter: Counter,
  { api, resource }: OwnApi,
  token: string,
): Promise<Pick<Caller, 'claims' | 'kid'>> {
  try {
    const known = verifiedBefore.get(token);
    const parsed = known ?? parseCompact(token);
    const { kid } = parsed.header;
    const key = typeof kid === 'string' ? await verificationKey(deps, counter.version, kid) : undefined;
    if (!key || typeof kid !== 'string' || !(known || verifyParsed(parsed, { alg: key.alg, key: key.publicKey }))) {
      throw refused(resource, 'invalid_token', 'the token is not one of ours');
    }
    if (!known) verifiedBefore.set(token, parsed);
    const { issuer } = deps.config;
    const claims = validateAccessTokenClaims(parsed, { issuer, audience: resource, now: deps.clock.now() });
    // the audience is a name, which may have been another's when it was registered: the link is the thing itself
    if (!claims.links.includes(await ownTag(deps, counter, api))) {
      throw refused(resource, 'invalid_token', 'the token is for another resource');
    }
    return { claims, kid };
  } catch (error) {
    if (error instanceof ProtocolError) throw refused(resource, 'invalid_token', error.message);
    throw error;
  }
}

const ownTags = rememberedPer<string>(2);

/** What a token that was made for our own resource, and for no other, has among its links. */
async function ownTag({ db }: Deps, { version }: Counter, api: SystemResource): Promise<string> {
  const tag = await ownTags(db).get(version, api, async () => {
    const own = await findSystemResource(db, api);
    return own && linkTag(own.id);
  });
  if (tag === undefined) throw new Error('the built-in resource is missing');
  return tag;
}

/** @see RFC 9449 §4.3 and §7.1 */
function provenKey(
  deps: Deps,
  resource: string,
  token: string,
  request: CallRequest,
): { jkt: string; jti: string; iat: number } {
  const { dpop } = request;
  if (typeof dpop !== 'string') {
    throw refused(resource, 'invalid_dpop_proof', 'send one DPoP header with a proof for this request');
  }
  try {
    const proof = parseDpopProof(dpop);
    verifyDpopProof(proof, {
      htm: request.method,
      htu: request.url,
      now: deps.clock.now(),
      maxAgeSeconds: deps.config.dpop.proof_max_age_seconds,
      futureSeconds,
      accessToken: token,
    });
    return { jkt: proof.jkt, jti: proof.claims.jti, iat: proof.claims.iat };
  } catch (error) {
    if (error instanceof ProtocolError) throw refused(resource, 'invalid_dpop_proof', error.message);
    throw error;
  }
}

function refused(resource: string, error: 'invalid_token' | 'invalid_dpop_proof', description: string): Problem {
  return new Problem('invalid-token', description, {
    headers: challenge(resource, { error, error_description: description }),
  });
}

const replayed = (resource: string) =>
  refused(resource, 'invalid_dpop_proof', 'the DPoP proof was used before: make one for each request');

function challenge(resource: string, params: Record<string, string>): Record<string, string> {
  return {
    'www-authenticate': formatChallenge('DPoP', {
      ...params,
      algs: jwsAlgorithms.join(' '),
      resource_metadata: protectedResourceMetadataUrl(resource),
    }),
  };
}
