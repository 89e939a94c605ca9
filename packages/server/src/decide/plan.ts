/** What a grant hands on: everything that a token would say, and nothing that it could do by itself. */
import type {
  Actor,
  AuthorizationDetail,
  JsonObject,
  MayAct,
  Requirement,
  TokenContext,
  TransactionClaims,
} from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import type { Counter } from '../liveness/liveness.ts';
import type { Take } from '../mandates/ledger.ts';
import type { Resource } from '../resources/resource.ts';
import type { HeldRole } from '../resources/role.ts';
import type { Task } from '../tasks/task.ts';

/** Parameters of a form, each as often as it was sent. */
export type Form = ReadonlyMap<string, readonly string[]>;

/** Where and when a request came from, with provenance: everything here was observed by the server itself. */
export interface RequestContext {
  /** The client’s address in its canonical form, through configured proxies alone; `unknown` where they name none. */
  address: string;
  /** Milliseconds. */
  at: number;
  /** The `traceparent` that the request came with, if it is a valid one. @see W3C Trace Context §3.2 */
  traceparent?: string | undefined;
}

/** A request to an OAuth endpoint, parsed and bounded but not believed. */
export interface OAuthRequest {
  form: Form;
  authorization: string | undefined;
  dpop: string | undefined;
  /** What the connection proved the possession of, if it did: by its own TLS or through a proxy that may say so. */
  certificate?: PresentedCertificate | undefined;
  context: RequestContext;
}

/** A client certificate whose private key was proven in a TLS handshake. Who issued it is not looked at yet. */
export interface PresentedCertificate {
  /** DER, the leaf first, then whatever the client sent to lead to a root. */
  chain: readonly Buffer[];
  /** SHA-256 of the leaf, base64url. @see RFC 8705 §3.1 */
  x5t: string;
  /** Our own listener saw the handshake, or a configured proxy says that it did (RFC 9440). */
  seenBy: 'listener' | 'proxy';
}

/** Something that works once. `id` is a hash of what it is, `expiresAt` (ms) when it would be refused anyway. */
export interface Spend {
  kind: 'assertion' | 'dpop' | 'set';
  id: string;
  expiresAt: number;
}

/** An agent that has proven who it is. */
export interface Client {
  agent: Agent;
  /** Id of the credential that proved it, and the thumbprint of its key. */
  credential: string;
  thumbprint: string;
  /** When that credential ends (milliseconds), if it does. */
  credentialEndsAt: number | undefined;
  method: string;
  /** The running copy of the agent that proved itself, where it was one. */
  instance?: Instance | undefined;
  /** When what it showed was made (milliseconds), where it was made ahead: an assertion, an SVID. A handshake is now. */
  provenAt?: number | undefined;
  /** When what it showed ends by itself (milliseconds): a certificate, an SVID. What it enrols by that ends with it. */
  provenUntil?: number | undefined;
  /** What whoever issued its proof vouches for, by name: the SPIFFE ID of another trust domain, a name in a certificate. */
  attested?: Readonly<Record<string, string>> | undefined;
  /** What of its proof works once; nothing where a TLS handshake was the proof. */
  proofs: readonly Spend[];
  /** Read before the client was authenticated: what ends after it makes us plan again. */
  asOf: Counter;
}

/** The key or certificate, or both, that a token will be bound to. @see RFC 9449 §6, RFC 8705 §3 */
export interface Binding {
  jkt?: string | undefined;
  x5t?: string | undefined;
  /** When the DPoP proof was made (milliseconds); a handshake is now. */
  provenAt?: number | undefined;
  /** What of the proof of possession works once. */
  proofs: readonly Spend[];
}

/** A task as a request names it: one that an orchestrator opened, or what the agent says of itself. */
export type PlannedTask =
  | OrchestratedTask
  | { provenance: 'declared'; workflow?: string; step?: string; purpose?: string };

/** A task that an orchestrator of the agent's organization opened. */
export interface OrchestratedTask {
  provenance: 'orchestrated';
  task: Task;
  /** Has to be written with the token: it came signed, along with the request. */
  isNew: boolean;
  /** Ids of what it was opened by. */
  links: readonly string[];
  /** Who answers for the orchestrator: a person or a team. */
  owner: string;
}

/** On whose authority an agent acts, where it isn't its own, and all that bounds what it does there. */
export interface Delegation {
  /** What kind of subject: `user` for a person, else as the actor profile calls the agent at the root. */
  subjectProfile: string;
  /** The person at the root, if there is one (`per_…`). */
  person: string | undefined;
  /** The client, with who acted before it inside; nobody where an agent gets a narrower token for itself. */
  act: Actor | undefined;
  /** Ids of the agents that acted before the client, the nearest first. */
  before: readonly string[];
  /** Nobody but the agent itself, and instances of it, stands in the chain. */
  isOwn: boolean;
  /** The mandate that the client acts on. */
  mandate: string | undefined;
  /** The `jti` of the token that this was exchanged from. */
  exchanged: string | undefined;
  /** Ids of all that this rests on: mandates up to the root, the person, earlier agents, the token that it was exchanged from. */
  links: readonly string[];
  /** The same, of what a token that was exchanged linked: of these only the tags are known. */
  tags: readonly string[];
  /** What each link of the chain allows on the plan's resource, the nearest first; the plan is within each. */
  bounds: readonly DelegationBound[];
  /** The rule of a trusted issuer that it acts on, in place of one. */
  rule?: { issuer: string; rule: string } | undefined;
  /** What the agent at the root may do itself, where it lets others act on a resource that its token isn't for. */
  rootRoles: readonly HeldRole[] | undefined;
  /** What it takes of what mandates count, in the issuing transaction. */
  takes: readonly Take[];
  /** What was left out where the request named nothing. */
  narrowed: readonly Narrowing[];
}

/** What one link of a chain allows on one resource. */
export interface DelegationBound {
  /** Which link: `mandate mdt_…`, or `subject_token`. */
  by: string;
  scope: readonly string[];
  details: readonly AuthorizationDetail[];
  context: TokenContext | undefined;
  /** Milliseconds. */
  endsAt: number;
}

/** That a token says less than its first link allows, and because of what. */
export interface Narrowing {
  what: 'scope' | 'authorization_details' | 'lifetime' | 'context';
  /** The scope, or the type of the details. */
  value?: string;
  /** `mandate mdt_…`, `subject_token`, `subject`, `roles`, `task`, `instance`, `policy` or `registration`; `request` for a bound that leaves open what a token has to say. */
  by: string;
}

/** What a transaction token says beside what every token says. The client requests it, and is nobody who acts. */
export interface PlannedTransaction {
  /** Its id, where a token of the transaction is replaced. */
  txn: string | undefined;
  /** Who acts, and at what, in the words of what was shown. */
  acting: Pick<TransactionClaims, 'client_id' | 'instance' | 'task'>;
  /** SPIFFE IDs of the workloads that requested its tokens, the client last. */
  requesters: readonly string[];
  tctx: JsonObject | undefined;
  rctx: JsonObject | undefined;
  /** Ids of the resources that will take it. */
  resources: readonly string[];
}

/** What a grant wants to have issued. */
export interface TokenPlan {
  grantType: string;
  client: Client;
  /** `sub`: the SPIFFE ID of an agent that acts for itself; who it acts for, where it doesn't. */
  subject: string;
  resource: Resource;
  /** Exactly what was asked for, or what the registration says is meant by asking for nothing. */
  scope: readonly string[];
  /** RFC 9396: valid for their types, and not more than was asked for. */
  details: readonly AuthorizationDetail[];
  /** On whose authority, where the agent doesn't act for itself. */
  delegation?: Delegation | undefined;
  /** Where it is to be a transaction token. */
  transaction?: PlannedTransaction | undefined;
  /** Who may exchange the token, beside the client itself. @see RFC 8693 §4.4 */
  mayAct?: MayAct | undefined;
  /** The piece of work that it is for. */
  task: PlannedTask | undefined;
  /** Where it is to be used at most, as the request says. */
  context: TokenContext | undefined;
  binding: Binding | undefined;
  /** Everything of a single use that this rests on. */
  spends: readonly Spend[];
}

/** A plan that policy has allowed. */
export interface DecidedPlan extends Omit<TokenPlan, 'context'> {
  /** Milliseconds. */
  expiresAt: number;
  /** Ids of all that the token rests on and does not name: when one ends, the token ends. */
  links: readonly string[];
  /** Where it may be used: what registration, instance, task, policy and request all allow. */
  context: TokenContext | undefined;
  policy: string;
  reasons: readonly string[];
  /** What policy saw, free of anything personal, so that the decision can be made again. */
  decidedOn: Readonly<Record<string, unknown>>;
  /** The same of what is personal, for the sealed part of the event. */
  personal: object | undefined;
  /** Policies that are only observed and would have decided otherwise. */
  observed?: ObservedDecision | undefined;
  /** What it says less than its first link allows, where somebody acts for another. */
  narrowed?: readonly Narrowing[] | undefined;
}

/** What policies that are not enforced yet would have said. */
export interface ObservedDecision {
  decision: 'allow' | 'deny' | 'step_up';
  by: readonly string[];
  requirements?: readonly Requirement[];
}
