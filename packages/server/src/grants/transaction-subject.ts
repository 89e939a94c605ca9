/** What a transaction begins with, or is gone on with: the token that a service was called with. */
import {
  type AccessTokenClaims,
  actorsOf,
  requestersOf,
  type TokenContext,
  type TransactionClaims,
  tagsOf,
  transactionTokenType,
  transactionTyp,
} from '@bailiwick/protocol';
import type { Client } from '../decide/plan.ts';
import { agentsAmong } from '../decide/registered.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Mandate } from '../mandates/mandate.ts';
import type { Resource } from '../resources/resource.ts';
import { type Standing, standingOf } from '../tokens/introspect.ts';
import { lineOf, resourceOf } from './subject-token.ts';
import { resourceById } from './target.ts';

/** A living token that somebody called a service of the client with. */
export interface ShownSubject {
  claims: AccessTokenClaims | TransactionClaims;
  /** The resource that was called, and the client serves. */
  resource: Resource;
  /** Ids of the resources that the transaction may come to. */
  reaches: readonly string[];
  /** Where what comes of it may be used at most. */
  context: TokenContext | undefined;
  /** Of a transaction: its id, and who requested its tokens until now. */
  txn: string | undefined;
  before: readonly string[];
  /** Ids of the agents that act, the nearest first. */
  actors: readonly string[];
  /** The mandates that it goes by; ids, and tags, of all that it rests on. */
  line: readonly Mandate[];
  restsOn: readonly string[];
  tags: readonly string[];
}

type Ours = Exclude<Standing, { state: 'foreign' }>;

/**
 * @param type `subject_token_type`
 * @throws OAuthError `invalid_request`: who may not show it hears the same as for what is none of ours
 */
export async function shownSubject(deps: Deps, client: Client, type: string, token: string): Promise<ShownSubject> {
  const standing = await standingOf(deps, token, client.asOf);
  if (standing.state === 'foreign') throw notAccepted('none of ours');
  const of = type === transactionTokenType ? ofTransaction : ofAccessToken;
  const found = await of(deps, client, standing);
  const { claims, kid, state } = standing;
  if (claims.org !== client.agent.org || !found) throw notAccepted('of no resource that the client serves');
  if (state !== 'alive') throw unfit(state === 'expired' ? 'has expired' : 'has been ended');
  const actors = claims.act ? actorsOf(claims.act) : [claims];
  return {
    claims,
    ...found,
    actors: await agentsAmong(deps, client.asOf.version, client.agent.org, actors),
    ...(await lineOf(deps, client.asOf, claims)),
    tags: tagsOf(claims, kid),
  };
}

type Found = Pick<ShownSubject, 'resource' | 'reaches' | 'context' | 'txn' | 'before'>;

/**
 * An access token for a resource that the client serves. Nobody else may show it, whoever `may_act` in it: that says who comes next in the chain, and whoever
 * requests a transaction token doesn't come into it. Where it may be used is held against whoever calls from outside; the hours go on.
 */
async function ofAccessToken(deps: Deps, client: Client, { claims, typ }: Ours): Promise<Found | undefined> {
  const resource = await resourceOf(deps, client, claims);
  if (!resource || resource.token.typ !== typ || !resource.servedBy.includes(client.agent.id)) return undefined;
  const hours = claims.ctx?.hours;
  return {
    resource,
    reaches: resource.token.transactions ?? [],
    context: hours && { hours },
    txn: undefined,
    before: [],
  };
}

/** A transaction token is replaced by who serves one of the resources that take it. */
async function ofTransaction(deps: Deps, client: Client, standing: Ours): Promise<Found | undefined> {
  const claims = standing.claims as TransactionClaims;
  if (standing.typ !== transactionTyp || claims.aud !== deps.config.trust_domain) return undefined;
  const { resources: reaches, ctx: context, txn } = claims;
  for (const id of reaches) {
    const resource = await resourceById(deps, client, id);
    if (!resource?.servedBy.includes(client.agent.id)) continue;
    return { resource, reaches, context, txn, before: requestersOf(claims) };
  }
  return undefined;
}

const notAccepted = (reason: string) =>
  new OAuthError('invalid_request', 'subject_token is not accepted from this client', {
    reason: `subject_token: ${reason}`,
  });
const unfit = (why: string) => new OAuthError('invalid_request', `subject_token ${why}`);
