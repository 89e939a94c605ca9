import { canonicalJson, type DetailsType, type JwsAlgorithm, type Operation } from '@bailiwick/protocol';

export interface ResourceScope {
  name: string;
  /** What a person reads when they are asked for it. */
  description: string;
}

/** How the tokens for a resource are made, so that whoever verifies them can. */
export interface TokenProfile {
  alg: JwsAlgorithm;
  /** Header `typ`: `at+jwt` (RFC 9068) unless a verifier insists on another. */
  typ: string;
  /** Seconds; at most the 15 minutes of every token. */
  lifetime_seconds?: number;
  /** The single `aud`, where a verifier insists on another than the identifier. */
  audience?: string;
  /** Tokens for it are bound to no key: whoever finds one can use it. */
  dangerously_bearer: boolean;
  /** They name a place in a Token Status List, for verifiers that follow no feed and ask nobody. */
  status_list?: boolean;
  /** Ids of the resources inside of the trust domain that a transaction which begins with such a token may come to. */
  transactions?: string[];
}

/** How the guards of a resource hear of revocations (design §4). */
export interface FeedTerms {
  /** How long a guard may trust what it heard last. */
  lease_seconds: number;
  /** What a guard does that can't know whether it has heard everything: ask about each token, or refuse all. */
  when_lost: 'introspect' | 'refuse';
}

export const defaultFeedTerms: FeedTerms = { lease_seconds: 2, when_lost: 'introspect' };

/** An API or MCP server: what tokens are for. What its operations don't list is refused. */
export interface Resource {
  id: string;
  org: string;
  /** An absolute URI without fragment; the `resource` of RFC 8707 and, unless the profile says otherwise, the `aud`. */
  identifier: string;
  name: string;
  scopes: ResourceScope[];
  operations: Operation[];
  /** Types of `authorization_details` that it understands, beside `operation`. */
  detailsTypes: DetailsType[];
  token: TokenProfile;
  feed: FeedTerms;
  /** Ids of the agents that answer there: they may exchange the tokens that they are called with (RFC 8693), to go on for whoever called. */
  servedBy: string[];
  status: 'active' | 'suspended' | 'retired';
  /** Which of the server's own it is, if it is one: usable from every organization, changed by none. */
  system: SystemResource | undefined;
  createdAt: number;
  updatedAt: number;
}

/** The admin API, and what agents, orchestrators and guards call: two audiences. */
export const systemResources = ['admin', 'service'] as const;
export type SystemResource = (typeof systemResources)[number];

/** An agent that stands before a resource: it learns the resource's operations and may ask about its tokens. */
export interface Guard {
  id: string;
  org: string;
  resource: string;
  /** Its own identity. */
  agent: string;
  name: string;
  status: 'active' | 'retired';
  createdAt: number;
}

/**
 * Whether a change takes something away that a token for the resource may carry now, or makes it mean something else: a scope, its freedom
 * to be used without a key, a part of its lifetime, the audience that verifiers look for, a type of details, what an
 * operation is that a token may name, an agent that exchanges them, where a transaction may come to. Such a change is a revocation (design §4).
 */
export function isNarrower(before: Resource, after: Resource): boolean {
  return (
    before.scopes.some(({ name }) => !after.scopes.some((kept) => kept.name === name)) ||
    (before.token.dangerously_bearer && !after.token.dangerously_bearer) ||
    (after.token.lifetime_seconds ?? Number.POSITIVE_INFINITY) <
      (before.token.lifetime_seconds ?? Number.POSITIVE_INFINITY) ||
    before.token.audience !== after.token.audience ||
    before.detailsTypes.some((type) => !after.detailsTypes.some((kept) => meaningOf(kept) === meaningOf(type))) ||
    before.servedBy.some((agent) => !after.servedBy.includes(agent)) ||
    before.token.transactions?.some((id) => after.token.transactions?.includes(id) !== true) ||
    before.operations.some((one) => !after.operations.some((kept) => essenceOf(kept) === essenceOf(one)))
  );
}

/** What a type allows; what people read of it is not part of that. */
const meaningOf = ({ type, schema, compare }: DetailsType) => canonicalJson({ type, schema, compare });

/** What an operation is and takes: a token that names it was granted exactly that. */
const essenceOf = ({ name, method, path, tool, scope, details }: Operation) =>
  canonicalJson({ name, method, path, tool, scope: scope.toSorted(), details });
