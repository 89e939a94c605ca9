/** Whose tokens an organization takes as the word of its people: an issuer, how its tokens are known, and what each of them lets agents do. */
import type { JwsAlgorithm, Passing, PowerOnResource, PowerTask, TokenContext } from '@bailiwick/protocol';
import type { ClaimRule } from './claim-rule.ts';

/** An issuer, as one organization trusts it. Two organizations that trust the same one do so separately. */
export interface TrustedIssuer {
  id: string;
  org: string;
  /** What its tokens carry as `iss`: exactly this. */
  issuer: string;
  jwksUri: string;
  algorithms: readonly JwsAlgorithm[];
  accepts: readonly TokenKind[];
  /** Whom its tokens are for. */
  audiences: readonly string[];
  /** How long after it was issued a token is taken, whatever it says itself. */
  maxAgeSeconds: number;
  /** The first that fits decides. */
  rules: readonly IssuerRule[];
  /** Its keys as they were received; undefined before the first time. */
  jwks: string | undefined;
  /** When these were fetched, until when they need not be asked for again, and when that was last tried (ms). */
  jwksAt: number | undefined;
  jwksUntil: number | undefined;
  jwksTriedAt: number | undefined;
  /** Why the last attempt failed, as a sentence; undefined when it did not. */
  fault: string | undefined;
  status: 'active' | 'suspended';
  createdAt: number;
  updatedAt: number;
}

/** For how long keys are believed that nobody could confirm. */
export const keysBelievedForMs = 24 * 60 * 60_000;

export const tokenKinds = ['id_token', 'access_token'] as const;
export type TokenKind = (typeof tokenKinds)[number];

/** How a token's subject becomes a person: by an identity that was linked to them, or by their address, where the issuer has verified it. */
export const waysToPersons = ['identity', 'verified_email'] as const;
export type WayToPerson = (typeof waysToPersons)[number];

/** Which tokens let which agents do what. The power has the shape of a mandate's, without counters. */
export interface IssuerRule {
  name: string;
  /** All of them hold. */
  claims: Readonly<Record<string, ClaimRule>>;
  person: WayToPerson;
  /** Ids of the agents that may act by it. */
  agents: readonly string[];
  resources: readonly PowerOnResource[];
  context: TokenContext | undefined;
  task: PowerTask | undefined;
  passing: Passing;
  /** How long a token may live that is got by it. */
  maxLifetimeSeconds: number | undefined;
  /** Of an access token its own `scope` is a bound, too. */
  withinScope: boolean;
}
