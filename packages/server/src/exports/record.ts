/** An event as exporters write it: what every format starts from. */
import { canonicalJson } from '@bailiwick/protocol';
import { openEvents } from '../audit/audit.ts';
import type { StoredEvent } from '../log/read-on.ts';
import type { Queries } from '../store/database.ts';

/** The members of a leaf, as `audit/leaf.ts` writes them. */
export interface Leaf {
  id: string;
  at: string;
  type: string;
  outcome: 'allowed' | 'refused';
  org: string;
  agent?: string;
  instance?: string;
  target?: string;
  resource?: string;
  jti?: string;
  reason?: string;
  trace?: string;
  decided_on?: Record<string, unknown>;
  commitments: Record<string, string>;
}

export interface ExportedEvent {
  /** Milliseconds. */
  at: number;
  leaf: Leaf;
  /** The leaf's bytes, as they stand in the log: what hashes and proofs are made of. */
  text: string;
  /** What is personal, where it was asked for and was not erased. */
  personal: Record<string, unknown> | undefined;
}

/** @param personal whether what is personal goes out in plain text: it can't be recalled */
export async function recordsOf(
  q: Queries,
  events: readonly StoredEvent[],
  personal: boolean,
): Promise<ExportedEvent[]> {
  const opened = personal ? await openEvents(q, events) : undefined;
  return events.map(({ at, leaf }, i) => ({
    at,
    leaf: JSON.parse(leaf) as Leaf,
    text: leaf,
    personal: opened?.[i]?.erased === false ? opened[i].personal : undefined,
  }));
}

/** One line of JSON: the leaf's very bytes, and where it was asked for `personal` beside them. */
export function jsonLine(event: ExportedEvent): string {
  return event.personal === undefined ? event.text : canonicalJson({ ...event.leaf, personal: event.personal });
}

export const addressOf = ({ personal }: ExportedEvent): string | undefined =>
  typeof personal?.address === 'string' ? personal.address : undefined;
