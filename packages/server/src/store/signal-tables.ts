/** The rows of security signals, as migration 0011 makes them. `*_at` are milliseconds. */
export interface SignalTables {
  signal_streams: SignalStreamRow;
  signal_sets: SignalSetRow;
  signal_subjects: { stream: string; id: string; complex: number; subject: string };
  signal_sources: SignalSourceRow;
  signal_secrets: { id: string; value: string };
}

export interface SignalStreamRow {
  id: string;
  org: string;
  /** Whose stream it is. */
  agent: string;
  /** push | poll */
  method: string;
  endpoint_url: string | null;
  /** json: event types that were asked for; null: all that there are */
  events: string | null;
  description: string | null;
  /** ALL | NONE */
  default_subjects: string;
  /** enabled | paused | disabled */
  status: string;
  reason: string | null;
  /** The number of the last SET that was put into it. */
  last: number;
  /** When something is to be pushed next, or until when a node has it for pushing. */
  due_at: number | null;
  /** In a row. */
  failures: number;
  fault: string | null;
  delivered_at: number | null;
  /** When a verification was last asked for. */
  verified_at: number | null;
  created_at: number;
  updated_at: number;
}

export interface SignalSetRow {
  stream: string;
  seq: number;
  jti: string;
  event: string;
  /** json */
  claims: string;
  /** 1: about the stream itself, and sent whatever its status is. */
  control: number;
  attempts: number;
  created_at: number;
}

export interface SignalSourceRow {
  id: string;
  org: string;
  name: string;
  issuer: string;
  jwks_uri: string;
  /** json: any of these */
  audience: string;
  /** json: types of events that are taken */
  events: string;
  /** json: by what its subjects are known here */
  subjects: string;
  /** SHA-256 of what it shows when it pushes; null where we poll. */
  authorization_hash: string | null;
  /** json: where and as whom we ask; null where it pushes */
  poll: string | null;
  /** json, as it was fetched */
  jwks: string | null;
  jwks_at: number | null;
  jwks_tried_at: number | null;
  /** When something of it was last accepted. */
  heard_at: number | null;
  /** When it is asked next, or until when a node is asking. */
  due_at: number | null;
  failures: number;
  fault: string | null;
  created_at: number;
  updated_at: number;
}
