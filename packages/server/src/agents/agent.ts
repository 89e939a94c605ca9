import { isContextWithin, type TokenContext } from '@bailiwick/protocol';
import type { InstanceTemplate } from './instance.ts';

/** What may no longer act for good is called retired; what may act again, suspended. */
export type AgentStatus = 'active' | 'suspended' | 'retired';

export const agentKinds = ['ai_agent', 'workload', 'device'] as const;

/** A resource that the agent may ask tokens for. Roles on it say which scopes at most. */
export interface AgentResource {
  /** Id of the resource. */
  resource: string;
  /** Meant when a token request names no resource; at most one of an agent's is. */
  default: boolean;
  /** Meant when a token request for it names no scope. Empty: then a request must name them. */
  scope: string[];
}

export interface AgentLimits {
  tokens_per_minute?: number;
  /** Seconds; at most the 15 minutes of every token. */
  token_lifetime_seconds?: number;
}

/** A registered non-human identity: it is the OAuth client, and its id the `client_id`. */
export interface Agent {
  id: string;
  org: string;
  orgName: string;
  /** What the organization calls local time. */
  orgTimeZone: string;
  name: string;
  kind: (typeof agentKinds)[number];
  /** A person or a team: every agent has someone who answers for it. */
  owner: string;
  purpose: string;
  environment: string;
  /** Milliseconds. After it the agent may not act. */
  expiresAt?: number;
  /** OAuth grant types it may use. */
  grants: string[];
  resources: AgentResource[];
  limits: AgentLimits;
  /** Where its tokens may be used. */
  context: TokenContext;
  /** What its running copies may be. */
  instances: InstanceTemplate;
  status: AgentStatus;
  orgStatus: AgentStatus;
  createdAt: number;
  updatedAt: number;
}

/**
 * Whether a change takes something away that a token of the agent may carry now: a resource, a grant, a place or hour, a part of
 * its lifetime. Such a change is a revocation (design §4).
 */
export function isNarrower(before: Agent, after: Agent): boolean {
  const { token_lifetime_seconds: least = Number.POSITIVE_INFINITY } = after.limits;
  return (
    before.resources.some(({ resource }) => !after.resources.some((kept) => kept.resource === resource)) ||
    before.grants.some((grant) => !after.grants.includes(grant)) ||
    !isContextWithin(before.context, after.context) ||
    (after.instances.bind ?? []).some((each) => !before.instances.bind?.includes(each)) ||
    least < (before.limits.token_lifetime_seconds ?? Number.POSITIVE_INFINITY) ||
    (after.expiresAt ?? Number.POSITIVE_INFINITY) < (before.expiresAt ?? Number.POSITIVE_INFINITY)
  );
}
