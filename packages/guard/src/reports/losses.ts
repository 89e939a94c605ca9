/** How many reports were lost, of what, and why: that is reported too. */
import type { Kind, Line } from './line.ts';

/** No room, older than the server takes, refused by the server, or no longer readable. */
export type Cause = 'full' | 'expired' | 'refused' | 'unreadable';

export interface Losses {
  note(cause: Cause, line?: Pick<Line, 'kind'>): void;
  /** What was lost since the last time that somebody took it; undefined if nothing was. */
  take(): Lost | undefined;
  /** Puts back what was taken and could not be told. */
  putBack(lost: Lost): void;
}

export interface Lost {
  /** Since when, ms since 1970. */
  since: number;
  counts: Partial<Record<Kind | 'unknown', number>>;
  causes: Partial<Record<Cause, number>>;
}

export function countLosses(now: () => number): Losses {
  let lost: Lost | undefined;
  return {
    note(cause, line) {
      lost ??= { since: now(), counts: {}, causes: {} };
      const kind = line?.kind ?? 'unknown';
      lost.counts[kind] = (lost.counts[kind] ?? 0) + 1;
      lost.causes[cause] = (lost.causes[cause] ?? 0) + 1;
    },
    take() {
      const taken = lost;
      lost = undefined;
      return taken;
    },
    putBack(earlier) {
      const later = lost;
      lost = earlier;
      if (later === undefined) return;
      lost = {
        since: earlier.since,
        counts: sum(earlier.counts, later.counts),
        causes: sum(earlier.causes, later.causes),
      };
    },
  };
}

function sum<Name extends string>(
  one: Partial<Record<Name, number>>,
  other: Partial<Record<Name, number>>,
): Partial<Record<Name, number>> {
  const both = { ...one };
  for (const [name, count] of Object.entries(other) as [Name, number][]) both[name] = (both[name] ?? 0) + count;
  return both;
}
