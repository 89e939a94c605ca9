/** What a node knows of the feed of one resource that guards follow here: its newest entries, each of which follows on the one before. */
import { type FeedEntry, type FeedMessage, feedMessageBounds } from '@bailiwick/protocol';
import type { ChainRow } from '../liveness/feed-store.ts';
import type { FeedTerms } from '../resources/resource.ts';
import type { Session } from './session.ts';

/** How many entries of a resource are kept in memory: as many as one message holds. What is older is read from the database. */
const keptAtMost = feedMessageBounds.entries;

/** What has been over for so long (milliseconds) is left out. Not what is over just now: our clock may be wrong for a while, and guards keep what matters. */
const longOverMs = 24 * 60 * 60_000;

export interface Followed {
  resource: string;
  terms: FeedTerms;
  /** The last number that was sent to the resource. */
  head: number;
  /** The number before the first entry that is kept. */
  base: number;
  entries: { rev: number; entry: FeedEntry; until: number }[];
  sessions: Set<Session>;
  /** The last message that was pushed: all that are up to date get the same. */
  pushed: { after: number; rev: number; message: string } | undefined;
  /** A hole was found: nothing is said before it was read anew. */
  broken: boolean;
}

/** An entry doesn't follow on the one before it: something is missing, so nothing may be said. */
export class FeedHole extends Error {
  constructor(resource: string, prev: number, expected: number) {
    super(`the feed of ${resource} has a hole: ${prev} was sent before an entry, and ${expected} is known`);
    this.name = 'FeedHole';
  }
}

/** How long a lease of this resource lasts, milliseconds. */
export const leaseMsOf = ({ lease_seconds }: FeedTerms): number => Math.round(lease_seconds * 1000);

export const newFollowed = (resource: string, terms: FeedTerms, head: number): Followed => ({
  resource,
  terms,
  head,
  base: head,
  entries: [],
  sessions: new Set(),
  pushed: undefined,
  broken: false,
});

/**
 * Adds what was revoked next. What is known already is passed over.
 * @throws FeedHole
 */
export function append(followed: Followed, row: ChainRow): boolean {
  if (row.rev <= followed.head) return false;
  if (row.prev !== followed.head) throw new FeedHole(followed.resource, row.prev, followed.head);
  followed.entries.push({ rev: row.rev, entry: entryOf(row), until: row.until });
  followed.head = row.rev;
  if (followed.entries.length > keptAtMost) {
    const gone = followed.entries.splice(0, keptAtMost / 4);
    followed.base = gone.at(-1)?.rev ?? followed.base;
  }
  return true;
}

/**
 * What a guard that is at `after` has still to hear; undefined if that lies too far back to be known here, or is no number that was sent.
 * @param now milliseconds
 */
export function entriesAfter(followed: Followed, after: number, now: number): FeedEntry[] | undefined {
  if (after < followed.base) return undefined;
  const found: FeedEntry[] = [];
  let before = followed.base;
  for (let i = followed.entries.length - 1; i >= 0; i--) {
    const { rev, entry, until } = followed.entries[i] as Followed['entries'][number];
    if (rev <= after) {
      before = rev;
      break;
    }
    if (until > now - longOverMs) found.push(entry);
  }
  return before === after ? found.reverse() : undefined;
}

/**
 * Rows of the database as messages, each of which says that more follows.
 * @param from the number that they follow on, or null to begin anew; `tidied` is up to where entries are gone because they had expired,
 * `whole` whether no row was left out for being too many
 * @throws FeedHole
 */
export function messagesOf(
  rows: readonly ChainRow[],
  from: { resource: string; after: number | null; head: number; tidied: number; whole: boolean; now: number },
): Pick<FeedMessage, 'after' | 'rev' | 'floor' | 'entries' | 'more'>[] {
  const { resource, after, head, tidied, whole, now } = from;
  const first = rows[0]?.prev ?? head;
  // before the first row: nothing, what the guard has, or what had expired and is gone. Or too much to be told
  const beginning = after === null ? tidied : Math.max(after, tidied);
  if (whole && first !== after && first > beginning) throw new FeedHole(resource, first, beginning);
  for (const [i, row] of rows.entries()) {
    const before = rows[i - 1]?.rev ?? first;
    if (row.prev !== before) throw new FeedHole(resource, row.prev, before);
  }
  if ((rows.at(-1)?.rev ?? head) !== head) throw new FeedHole(resource, head, rows.at(-1)?.rev ?? 0);
  const floor = !whole && first > tidied ? first : undefined;
  const entries = rows.filter(({ until }) => until > now - longOverMs).map(entryOf);
  const messages: Pick<FeedMessage, 'after' | 'rev' | 'floor' | 'entries' | 'more'>[] = [];
  let at = floor === undefined ? after : null;
  for (let i = 0; i === 0 || i < entries.length; i += feedMessageBounds.entries) {
    const part = entries.slice(i, i + feedMessageBounds.entries);
    const last = i + feedMessageBounds.entries >= entries.length;
    const rev = last ? head : (part.at(-1)?.[0] ?? head);
    messages.push({ after: at, rev, ...(i === 0 && floor !== undefined && { floor }), entries: part, more: true });
    at = rev;
  }
  return messages;
}

const entryOf = ({ rev, tag, until }: ChainRow): FeedEntry => [rev, tag, Math.ceil(until / 1000)];
