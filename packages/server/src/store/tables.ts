import type { LogTables } from './log-tables.ts';
import type { RegistryTables } from './registry-tables.ts';
import type { SignalTables } from './signal-tables.ts';

/** Every table, for Kysely. What the road of a token touches is written as constant SQL in its room's `store.ts`. */
export interface Tables extends RegistryTables, LogTables, SignalTables {
  counter: { id: number; rev: number; version: number };
  subjects: {
    id: string;
    kind: string;
    parent: string | null;
    ends_at: number | null;
    state: string;
    ended_rev: number | null;
    changed_at: number;
  };
  revocations: {
    rev: number;
    subject: string;
    tag: string;
    effect: string;
    reason: string;
    by_agent: string;
    at: number;
    kind: string | null;
    org: string | null;
    agent: string | null;
    cause: number | null;
  };
  token_reach: { tag: string; resource: string; until: number };
  feed_entries: FeedEntryRow;
  feed_heads: { resource: string; rev: number };
  feed_nodes: { id: string; beat: number; at: number; lease_ms: number };
  feed_tidied: { id: number; rev: number; forgotten: number };
  revocation_answers: { rev: number; resource: string; acknowledged_at: number; answers: string | null };
  spent: { id: string; expires_at: number };
  signing_keys: {
    kid: string;
    alg: string;
    private_jwk: string;
    created_at: number;
    signs_from: number;
    usage: string;
  };
  authorities: AuthorityRow;
  trust_bundle: { id: number; sequence: number; refresh_hint_seconds: number };
  secrets: { name: string; value: string; created_at: number };
  events: EventRow;
  event_terms: { term: number; arrival: number };
  personal_terms: { term: number; arrival: number; subject: number };
  log_index: { id: number; position: number };
  personal: PersonalRow & { orphaned_at: number | null };
  sealing_keys: { subject: string; key: string; created_at: number };
}

/** A certificate authority of ours. */
export interface AuthorityRow {
  /** `x5t#S256` of the certificate. */
  id: string;
  kind: 'root' | 'intermediate';
  /** Of an intermediate: its root. */
  issuer: string | null;
  /** DER, base64. */
  certificate: string;
  /** A private JWK, encrypted where a key for that is configured. */
  private_key: string;
  created_at: number;
  /** From when it signs: a root through its first intermediate. */
  signs_from: number;
  expires_at: number;
}

/** A revocation as the guards of one resource hear of it. */
export interface FeedEntryRow {
  resource: string;
  rev: number;
  /** The number that was sent to this resource before; 0 for the first. */
  prev: number;
  tag: string;
  /** Milliseconds: nothing that it ends can live longer. */
  until: number;
  at: number;
  acknowledged_at: number | null;
  /** JSON: which guards have applied it, and when. */
  answers: string | null;
}

export interface EventRow {
  /** In the order in which events were appended; made by the database. */
  arrival: number;
  id: string;
  at: number;
  org: string;
  type: string;
  outcome: string;
  agent: string | null;
  target: string | null;
  resource: string | null;
  jti: string | null;
  leaf: string;
  /** Id of the row of `personal` with what is personal in it; null once that was erased. */
  personal: string | null;
}

export interface PersonalRow {
  id: string;
  /** Whose key it is sealed under. */
  subject: string;
  sealed: string;
}
