/** What policy is asked, and what it answers: plain data, the same for a token, for a guard's question and in a rehearsal. */
import type { Requirement, Sensitivity, TokenContext } from '@bailiwick/protocol';

export const policyActions = [
  'token:issue',
  'token:exchange',
  'resource:access',
  'approval:request',
  'lease:create',
] as const;
export type PolicyAction = (typeof policyActions)[number];

/** An agent of ours. In Cedar `Agent::"<name>"`, in `Role::"<name>"` for each role that it holds. */
export interface AgentPrincipal {
  type: 'Agent';
  id: string;
  name: string;
  kind: 'ai_agent' | 'workload' | 'device';
  environment: string;
  /** Id of a person or team. */
  owner: string;
  /** Names, those inherited from included. */
  roles: readonly string[];
  instance: string | undefined;
  /** What a platform or an authority vouches for, by name; and what we observed ourselves. */
  attested: Readonly<Record<string, string>>;
}

/** Somebody whom only the asking side knows. In Cedar `Subject::"<type>:<id>"`. @see AuthZEN 1.0 §3.1 */
export interface ForeignSubject {
  type: 'Subject';
  kind: string;
  id: string;
  properties: Readonly<Record<string, string>>;
}

/**
 * What it is about. In Cedar `Api::"<identifier>"`; `Operation::"<identifier>#<name>"` and `Tool::"<identifier>#<name>"`, both in
 * their Api; `Object::"<type>:<id>"` for what only the asking side knows.
 */
export type PolicyResource =
  | { type: 'Api'; identifier: string; name: string; sensitivity: Sensitivity }
  | { type: 'Operation' | 'Tool'; identifier: string; name: string; sensitivity: Sensitivity }
  /** As sensitive as can be, unless the asking side says `low` or `medium` in `properties.sensitivity`. */
  | { type: 'Object'; kind: string; id: string; properties: Readonly<Record<string, string>> };

/** Under which circumstances. What may cost something to find out is a getter: it is read only if a policy mentions it. */
export interface PolicyContext {
  /** Milliseconds; policies see it in the organization's time zone, to the minute. */
  at: number;
  timeZone: string;
  address: string | undefined;
  /**
   * `observed`: by us, or by a guard that sent along a token that stands. `told`: the asking side says so, and nothing shows it;
   * the same where this is absent. Country and an observed zone are found by the address, so it holds for them too.
   */
  addressProvenance?: 'observed' | 'told' | undefined;
  readonly country: string | undefined;
  readonly zone: { name: string; provenance: 'attested' | 'observed' } | undefined;
  task:
    | {
        provenance: 'orchestrated' | 'declared';
        id?: string | undefined;
        workflow?: string | undefined;
        step?: string | undefined;
        environment?: string | undefined;
        purpose?: string | undefined;
      }
    | undefined;
  /** By what the token is, or will be, bound. */
  binding: 'dpop' | 'mtls' | 'dpop+mtls' | 'none';
  /** How the client proved who it is. */
  method: string;
  /** Seconds since what it showed was made; 0 where TLS was the proof. */
  proofAge: number;
  scope: readonly string[];
  /** Types of `authorization_details`. */
  details: readonly string[];
  /** 0 where the agent acts for itself. */
  chainDepth: number;
  /** For whom it acts: the id of a person, or the SPIFFE ID of an agent. */
  subject: string | undefined;
  /** Ids of the agents that acted before it. */
  chain?: readonly string[] | undefined;
  /** The mandate that it acts on. */
  mandate?: string | undefined;
  /** What the asking side calls the action, where that is no operation of ours. */
  operation: string | undefined;
  /** What nobody but the asking side says, by name (`action.soft`). In Cedar tags of the entity `context.claimed`. */
  claimed?: Readonly<Record<string, string>> | undefined;
}

/** Another provider, from whom signals are heard. In Cedar `Source::"<name>"`. */
export interface SourcePrincipal {
  type: 'Source';
  id: string;
  name: string;
  issuer: string;
}

/** What an event of a signal says, where it is one that policies read. */
export const signalClaims = [
  'change_type',
  'credential_type',
  'current_level',
  'previous_level',
  'namespace',
  'change_direction',
  'risk_reason',
  'current_status',
  'previous_status',
  'initiating_entity',
] as const;

export interface SignalContext {
  /** Milliseconds. */
  at: number;
  timeZone: string;
  event: string;
  effect: 'revoke' | 'suspend';
  concerns: 'agent' | 'instance' | 'credential' | 'owner' | 'organization';
  claims: Readonly<Partial<Record<(typeof signalClaims)[number], string>>>;
}

/** Whether a signal may do something to an agent. */
export interface SignalRequest {
  principal: SourcePrincipal;
  action: 'signal:apply';
  resource: AgentPrincipal;
  context: SignalContext;
}

export interface PolicyRequest {
  principal: AgentPrincipal | ForeignSubject;
  action: PolicyAction;
  resource: PolicyResource;
  context: PolicyContext;
}

/** A statement of a policy that had a say. */
export interface Determining {
  /** `<policy name>/<@id>` */
  policy: string;
  effect: 'permit' | 'forbid';
  /** `@reason` */
  reason: string | undefined;
  /** Whether the client may be told (`@public`). */
  public: boolean;
  /** About signals: its head names whom it is about, an agent or a role. */
  names?: true;
  /** What it limits a token to, where it does (`@limit_…`). */
  limits?: PolicyAnswer['limits'];
}

export interface PolicyDecision {
  /** `step_up`: no, until what is required is there. */
  decision: 'allow' | 'deny' | 'step_up';
  determining: readonly Determining[];
  /** With `step_up` alone. */
  requirements: readonly Requirement[];
}

export interface PolicyAnswer extends PolicyDecision {
  /** Narrower than what was asked for: from annotations of the policies that allow it. */
  limits: { context: TokenContext | undefined; lifetimeSeconds: number | undefined };
  /** What could not be evaluated: then the decision is deny. */
  errors: readonly { policy: string; message: string }[];
  /** What it would be if the observed policies were enforced, where that differs. */
  observed: PolicyDecision | undefined;
}
