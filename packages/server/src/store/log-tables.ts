/** Who reads the log on, where it goes, and what is left of what was removed from it. */
export interface LogTables {
  log_consumers: LogConsumerRow;
  log_dead_letters: LogDeadLetterRow;
  exporters: ExporterRow;
  log_retention: { org: string; type: string; days: number | null; changed_at: number };
  retired_events: RetiredEventRow;
}

/** How far somebody is who reads the log on. */
export interface LogConsumerRow {
  name: string;
  /** The arrival of the last event that it has. */
  position: number;
  /** The node that delivers now. */
  holder: string | null;
  /** Moved by the holder as long as it lives. */
  beat: number;
  /** One after the other, until something is delivered. */
  failures: number;
  last_error: string | null;
  last_error_at: number | null;
  delivered: number;
  delivered_at: number | null;
  created_at: number;
}

/** An event that a consumer's other end refused for good. */
export interface LogDeadLetterRow {
  consumer: string;
  arrival: number;
  /** The event's id. */
  event: string;
  reason: string;
  at: number;
  /** 1: it is to be tried once more. */
  again: number;
}

export interface ExporterRow {
  id: string;
  /** Null: events of all organizations. */
  org: string | null;
  name: string;
  /** JSON: Target */
  target: string;
  /** JSON: what of the target is secret, encrypted where a key for that is configured. */
  secret: string | null;
  created_at: number;
  changed_at: number;
}

/** What remains of an event whose time is over. */
export interface RetiredEventRow {
  arrival: number;
  id: string;
  at: number;
  org: string;
  type: string;
  /** SHA-256 over 0x00 and the leaf, base64url. @see RFC 6962 §2.1 */
  leaf_hash: string;
}
