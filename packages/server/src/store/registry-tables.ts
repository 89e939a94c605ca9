/**
 * The rows of the registry, as migration 0002 makes them. Ids are text, `*_at` are milliseconds, and what ends in
 * `json` inside is canonical text that only the room's own `store.ts` reads and writes. What is alive stands in
 * `liveness/`, not here: a retired thing keeps its row, so that its name is never used again.
 */
export interface RegistryTables {
  organizations: OrganizationRow;
  people: PersonRow;
  teams: TeamRow;
  team_members: TeamMemberRow;
  agents: AgentRow;
  credentials: CredentialRow;
  instances: InstanceRow;
  instance_counts: { agent: string; living: number; counted_to: number; looked_at: number; looked_rev: number };
  resources: ResourceRow;
  roles: RoleRow;
  role_grants: RoleGrantRow;
  guards: GuardRow;
  trust_domains: TrustDomainRow;
  trusted_issuers: TrustedIssuerRow;
  person_identities: PersonIdentityRow;
  tasks: TaskRow;
  mandates: MandateRow;
  mandate_ledger: MandateLedgerRow;
  mandate_requests: MandateRequestRow;
  policies: PolicyRow;
  policy_versions: PolicyVersionRow;
  audiences: AudienceRow;
  idempotency: IdempotencyRow;
}

export interface OrganizationRow {
  id: string;
  name: string;
  display_name: string;
  /** IANA name: what policies of the organization call local. */
  time_zone: string;
  created_at: number;
}

export interface PersonRow {
  id: string;
  org: string;
  name: string;
  email: string | null;
  created_at: number;
}

export interface TeamRow {
  id: string;
  org: string;
  name: string;
  display_name: string;
  created_at: number;
}

export interface TeamMemberRow {
  team: string;
  person: string;
}

export interface AgentRow {
  id: string;
  org: string;
  name: string;
  kind: string;
  owner: string;
  purpose: string;
  environment: string;
  expires_at: number | null;
  /** json: grant types */
  grants: string;
  /** json: [{resource, default, scope}] */
  resources: string;
  /** json: {tokens_per_minute?, token_lifetime_seconds?} */
  limits: string;
  /** json: InstanceTemplate */
  instances: string;
  /** json: TokenContext */
  context: string;
  created_at: number;
  updated_at: number;
}

export interface CredentialRow {
  id: string;
  agent: string;
  org: string;
  kind: string;
  /** What is proven, once in the whole deployment, for ever: RFC 7638 of a key, a hash of everything else. */
  thumbprint: string;
  /** What assertions call the key: its thumbprint, unless its owner chose another name. Null where it is no key. */
  kid: string | null;
  alg: string | null;
  /** json: the public JWK */
  jwk: string | null;
  /** json: what the kind needs beside a key */
  detail: string | null;
  label: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
  /** When what works once was used. */
  used_at: number | null;
}

/** A running copy of an agent. Pruned some time after its end; the log keeps what it did. */
export interface InstanceRow {
  id: string;
  org: string;
  agent: string;
  parent: string | null;
  /** json: ids, the nearest first */
  ancestors: string;
  name: string | null;
  spiffe_id: string;
  credential: string;
  rests_until: number | null;
  thumbprint: string;
  alg: string;
  /** json: the public JWK */
  jwk: string;
  /** json: {name: {value, provenance}} */
  attributes: string;
  /** json: [{resource, scope}] */
  allowed: string | null;
  rev: number;
  created_at: number;
  renewed_at: number;
  expires_at: number;
}

export interface ResourceRow {
  id: string;
  org: string;
  identifier: string;
  name: string;
  /** json: [{name, description}] */
  scopes: string;
  /** json: Operation[] */
  operations: string;
  /** json: DetailsType[] */
  details_types: string;
  /** json: {alg, typ, lifetime_seconds?, audience?, dangerously_bearer} */
  token: string;
  /** json: FeedTerms */
  feed: string;
  /** json: ids of agents */
  served_by: string;
  /** 1: the admin API, 2: what agents call; both usable from every organization, changed by none. 0: everybody else's. */
  system: number;
  created_at: number;
  updated_at: number;
}

/** A name that tokens may carry as `aud`, and who answers to it. */
export interface AudienceRow {
  audience: string;
  resource: string;
  /** 1: it is the resource's identifier. 0: it is what its token profile says instead. */
  identifies: number;
}

export interface RoleRow {
  id: string;
  org: string;
  name: string;
  description: string;
  /** json: [{resource, scopes, details?}] */
  permissions: string;
  /** json: ids of roles */
  inherits: string;
  system: number;
  created_at: number;
  updated_at: number;
}

export interface RoleGrantRow {
  id: string;
  org: string;
  agent: string;
  role: string;
  created_at: number;
}

/** A piece of work that an orchestrator opened for an agent. Pruned some time after its end. */
export interface TaskRow {
  id: string;
  org: string;
  agent: string;
  /** The agent that opened it. */
  orchestrator: string;
  workflow: string;
  step: string | null;
  environment: string | null;
  purpose: string;
  /** json: what tokens of it may be for; null: all that the agent may */
  resources: string | null;
  /** json: ids of what it was opened by */
  rests_on: string;
  /** The revocation number as of which it was opened. */
  rev: number;
  created_at: number;
  ends_at: number;
  /** When it was ended before that. */
  ended_at: number | null;
}

export interface MandateRow {
  id: string;
  org: string;
  person: string;
  agent: string;
  /** The one copy of the agent that it is for; null: every one. */
  instance: string | null;
  parent: string | null;
  /** json: ids from the parent up to the root */
  ancestors: string;
  /** json */
  resources: string;
  /** json */
  context: string | null;
  /** json */
  task: string | null;
  /** json */
  limits: string | null;
  /** json */
  passing: string;
  /** json: how it was given, and what the person saw */
  given: string;
  created_at: number;
  ends_at: number;
  /** When it was ended before that. */
  ended_at: number | null;
  name: string | null;
}

export interface MandateLedgerRow {
  mandate: string;
  /** `uses`, or the number of an amount among the mandate's limits: `amount:0` */
  counter: string;
  /** Uses; or millionths of an amount. */
  spent: number;
  most: number;
}

export interface MandateRequestRow {
  id: string;
  org: string;
  /** Who asks, and by which running copy. */
  agent: string;
  instance: string | null;
  /** The agent that is asked. */
  holder: string;
  /** json: what is wanted, as it was written */
  wanted: string;
  why: string | null;
  /** pending | granted | refused | withdrawn */
  state: string;
  /** The one that was granted. */
  mandate: string | null;
  /** Why it was refused. */
  reason: string | null;
  /** json: ids; once one of them was stopped under a number greater than `rev`, nobody can grant it any more */
  rests_on: string;
  rev: number;
  created_at: number;
  answer_by: number;
  answered_at: number | null;
}

export interface PolicyRow {
  id: string;
  org: string;
  name: string;
  created_at: number;
}

/** Every change of a policy is a revision of its organization's set: what decided then can be read now. */
export interface PolicyVersionRow {
  org: string;
  revision: number;
  policy: string;
  text: string;
  /** enforce | observe | removed */
  mode: string;
  author: string;
  reason: string;
  created_at: number;
}

export interface GuardRow {
  id: string;
  org: string;
  resource: string;
  agent: string;
  created_at: number;
}

/** Whose identities an organization accepts beside our own. Gone when it is removed: its name may come back. */
export interface TrustDomainRow {
  id: string;
  org: string;
  name: string;
  /** The bundle endpoint, its profile and its SPIFFE ID; null where the bundle was given and stays. */
  url: string | null;
  profile: string | null;
  endpoint_id: string | null;
  /** json as it was received: the last bundle that was verified */
  bundle: string | null;
  sequence: number | null;
  /** When the bundle was last what the endpoint says. */
  confirmed_at: number | null;
  tried_at: number | null;
  /** When the endpoint is asked next. */
  due_at: number | null;
  /** Why the last attempt failed. */
  fault: string | null;
  created_at: number;
  updated_at: number;
}

/** Whose tokens let agents act for people. Gone when it is removed: it may be trusted anew. */
export interface TrustedIssuerRow {
  id: string;
  org: string;
  issuer: string;
  jwks_uri: string;
  /** json: [alg] */
  algorithms: string;
  /** json: kinds of tokens */
  accepts: string;
  /** json: [aud] */
  audiences: string;
  max_age_seconds: number;
  /** json: IssuerRule[] */
  rules: string;
  /** json as it was received: the keys that were last fetched */
  jwks: string | null;
  jwks_at: number | null;
  /** Until when they are not asked for again. */
  jwks_until: number | null;
  jwks_tried_at: number | null;
  /** Why the last attempt failed. */
  fault: string | null;
  created_at: number;
  updated_at: number;
}

/** By which name an issuer knows a person. */
export interface PersonIdentityRow {
  /** Keyed hash of organization, issuer and subject. */
  blind: string;
  person: string;
  /** {issuer, subject}, under the key of the person */
  sealed: string;
}

export interface IdempotencyRow {
  /** Hash of who asked and the key they chose. */
  key: string;
  request_hash: string;
  status: number | null;
  body: string | null;
  expires_at: number;
}
