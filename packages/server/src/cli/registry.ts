/** What the admin API shows, as far as the command line reads it. The schemas that bind are those of `admin/`. */
import type {
  AuthorizationDetail,
  DetailsType,
  JwsAlgorithm,
  Operation,
  PublicJwk,
  TokenContext,
} from '@bailiwick/protocol';
import type { InstanceTemplate } from '../agents/instance.ts';
import type { CredentialKind, Standing } from '../credentials/credential.ts';
import type { ClaimRule } from '../federation/claim-rule.ts';
import type { TokenKind, WayToPerson } from '../federation/trusted-issuer.ts';
import type { Mandate } from './mandate-words.ts';

interface Thing {
  id: string;
  organization: string;
  created_at: string;
}

export interface Organization {
  id: string;
  name: string;
  display_name: string;
  time_zone: string;
  status: string;
  created_at: string;
}

export interface Person extends Thing {
  name: string;
  email?: string;
  /** Who they are to trusted issuers. */
  identities?: { issuer: string; subject: string }[];
  status: string;
}

/** Where the log goes, and how far that is. */
export interface Exporter {
  id: string;
  organization?: string;
  name: string;
  target: { kind: 'file' | 'syslog' | 'webhook' | 'otlp'; format?: string; url?: string; host?: string; port?: number };
  types?: string[];
  outcome?: string;
  personal: boolean;
  created_at: string;
  status: {
    state: 'current' | 'behind' | 'failing';
    position: number;
    lag: number;
    waiting_since?: string;
    failures: number;
    last_error?: string;
    last_error_at?: string;
    delivered: number;
    delivered_at?: string;
    dead_letters: number;
  };
}

export interface Team extends Thing {
  name: string;
  display_name: string;
  status: string;
}

export interface Agent extends Thing {
  name: string;
  kind: string;
  owner: string;
  purpose: string;
  environment: string;
  expires_at?: string;
  grants: string[];
  resources: { resource: string; default: boolean; scope: string[] }[];
  limits: { tokens_per_minute?: number; token_lifetime_seconds?: number };
  context: TokenContext;
  instances: InstanceTemplate;
  status: 'active' | 'suspended' | 'retired';
  subject: string;
  roles: { id: string; name: string; grant: string }[];
}

export interface Credential extends Thing {
  agent: string;
  kind: CredentialKind;
  thumbprint: string;
  /** Of a public key. */
  kid?: string;
  alg?: string;
  jwk?: PublicJwk;
  /** Of a certificate. */
  subject_dn?: string;
  /** Of a name in certificates. */
  subject?: { field: string; value: string; ca?: string };
  spiffe_id?: string;
  /** Of an enrolment token. */
  addresses?: string[];
  attributes?: Record<string, string>;
  used_at?: string;
  label: string;
  expires_at?: string;
  last_used_at?: string;
  status: Standing;
}

/** As it is shown once, with what is kept nowhere. */
export interface MadeCredential extends Credential {
  secret?: string;
}

export interface Instance extends Thing {
  agent: string;
  parent?: string;
  name?: string;
  subject: string;
  credential: string;
  thumbprint: string;
  alg: string;
  attributes: Record<string, { value: string; provenance: string }>;
  allowed?: { resource: string; scope: string[] }[];
  status: 'active' | 'ended';
  renewed_at: string;
  expires_at: string;
}

export interface Resource extends Thing {
  identifier: string;
  name: string;
  scopes: { name: string; description: string }[];
  operations: Operation[];
  details_types: DetailsType[];
  token: {
    alg: string;
    typ: string;
    lifetime_seconds?: number;
    audience?: string;
    dangerously_bearer: boolean;
    status_list?: boolean;
    transactions?: string[];
  };
  feed: { lease_seconds: number; when_lost: string };
  /** Ids of agents. */
  served_by: string[];
  system: boolean;
  status: string;
}

export interface Role extends Thing {
  name: string;
  description: string;
  permissions: { resource: string; scopes: string[]; details?: AuthorizationDetail[] }[];
  inherits: string[];
  system: boolean;
  status: string;
}

/** In lists: without its text. */
export interface ListedPolicy extends Thing {
  name: string;
  mode: 'enforce' | 'observe' | 'removed';
  /** Of its last change. */
  revision: number;
  text_hash: string;
  author: string;
  reason: string;
  updated_at: string;
}

export interface Policy extends ListedPolicy {
  text: string;
}

export interface PolicyVersion {
  policy: string;
  revision: number;
  mode: Policy['mode'];
  text_hash: string;
  author: string;
  reason: string;
  created_at: string;
}

export interface Guard extends Thing {
  name: string;
  status: string;
  resource: string;
  agent: string;
}

export interface RevocationReach {
  kind: string;
  subject: string;
  name: string;
  effect: 'suspend' | 'end' | 'tokens';
  over: boolean;
  agents: { count: number; more: boolean; names: string[] };
  instances: number;
  tasks: number;
  mandates: number;
  credentials: number;
  tokens?: { count: number; more: boolean; until?: string };
  resources: { id: string; name: string; identifier: string; guards: { id: string; name: string }[] }[];
  gaps: { what: string; until?: string }[];
}

export interface Acknowledgement {
  forgotten?: true;
  complete: boolean;
  resources: {
    resource: string;
    acknowledged_at?: string;
    guards: { guard: string; applied_at?: string; lapsed?: true; asked?: true }[];
    unknown: string[];
    unguarded?: true;
  }[];
}

export interface Revocation {
  rev: number;
  kind: string;
  subject: string;
  agent?: string;
  effect: 'suspend' | 'end' | 'tokens';
  reason: string;
  by: string;
  revoked_at: string;
  with_more?: true;
  came_with_it?: { rev: number; kind: string; subject: string }[];
  acknowledgement: Acknowledgement;
}

export interface SigningKey {
  kid: string;
  alg: string;
  state: string;
  created_at: string;
  signs_from: string;
  signs_until?: string;
  published_until?: string;
}

export interface CertificateAuthority {
  trust_domain: string;
  spiffe_sequence: number;
  spiffe_refresh_hint: number;
  encrypted: boolean;
  authorities: {
    id: string;
    kind: 'root' | 'intermediate';
    root?: string;
    state: string;
    subject: string;
    created_at: string;
    signs_from: string;
    signs_until?: string;
    expires_at: string;
    certificate: string;
  }[];
  jwt_svid_keys: { kid: string; state: string; created_at: string; signs_from: string; signs_until?: string }[];
}

export interface TrustDomain extends Thing {
  name: string;
  status: 'current' | 'stale' | 'waiting';
  bundle_endpoint?: { url: string; profile: string; spiffe_id?: string };
  bundle?: {
    sequence?: number;
    refresh_hint_seconds?: number;
    x509_authorities: string[];
    jwt_authorities: string[];
  };
  confirmed_at?: string;
  stale_at?: string;
  refresh_at?: string;
  fault?: string;
}

export interface TrustedIssuer extends Thing {
  issuer: string;
  status: 'active' | 'suspended';
  jwks_uri: string;
  algorithms: JwsAlgorithm[];
  accepts: TokenKind[];
  audiences: string[];
  max_age_seconds: number;
  /** The first that fits decides. */
  rules: (Pick<Mandate, 'resources' | 'context' | 'task' | 'passing'> & {
    name: string;
    claims: Readonly<Record<string, ClaimRule>>;
    person: WayToPerson;
    agents: string[];
    max_lifetime_seconds?: number;
    within_scope: boolean;
  })[];
  keys_at?: string;
  fault?: string;
}

export interface Event {
  id: string;
  type: string;
  at: string;
  outcome: string;
  agent?: string;
  target?: string;
  resource?: string;
  reason?: string;
  jti?: string;
  decided_on?: { scope?: string } & Record<string, unknown>;
  personal: { details?: { reason?: string } & Record<string, unknown> } & Record<string, unknown>;
}
