/** When a revocation is known to everybody whom it concerns (design §4). Why nothing is accepted after it: completion.ts. */
import type { Deps } from '../deps.ts';
import { selectAnswers } from '../liveness/feed-store.ts';
import { answersOf } from './answers.ts';
import { adopt, feedOf } from './feed.ts';
import type { Feed, GuardAnswer } from './state.ts';
import { caughtUp } from './turn.ts';
import { urge } from './write-down.ts';

/** How far a revocation has arrived. Times in milliseconds since 1970. */
export interface Acknowledgement {
  rev: number;
  /** Nobody accepts any more what it ended. */
  complete: boolean;
  /** The resources that it concerns; none if no unexpired token rests on what was revoked, or if the last one has expired long ago. */
  resources: AcknowledgedResource[];
}

export interface AcknowledgedResource {
  /** Its id. */
  resource: string;
  acknowledgedAt?: number;
  /** Guards (`grd_…`) that held a lease when it came, each once: several processes of one guard are as far as the last of them. */
  guards: AnsweredGuard[];
}

/** A guard has applied a revocation, or its lease has run out, or we still wait for either. */
export interface AnsweredGuard {
  guard: string;
  appliedAt?: number;
  lapsed?: true;
}

/** How far the revocation with this number has arrived until now. One that reaches no resource is acknowledged at once. */
export async function acknowledgementOf(deps: Deps, rev: number): Promise<Acknowledgement> {
  const feed = feedOf(deps);
  await caughtUp(feed);
  const rows = await selectAnswers(deps.db, rev);
  return {
    rev,
    complete: rows.every((row) => row.acknowledged_at !== null),
    resources: rows.map(({ resource, acknowledged_at, answers }) =>
      acknowledged_at === null
        ? { resource, guards: guardsNow(feed, resource, rev) }
        : {
            resource,
            acknowledgedAt: acknowledged_at,
            guards: (JSON.parse(answers ?? '[]') as GuardAnswer[]).map(([guard, at]) =>
              at > 0 ? { guard, appliedAt: at } : { guard, lapsed: true as const },
            ),
          },
    ),
  };
}

/** The same once it is complete and on record, or after `atMostMs` as far as it is then. */
export async function acknowledged(deps: Deps, rev: number, atMostMs: number): Promise<Acknowledgement> {
  const feed = feedOf(deps);
  await caughtUp(feed);
  if (!feed.remaining.has(rev)) {
    const now = await acknowledgementOf(deps, rev);
    if (now.complete) return now;
    await adopt(feed);
  }
  if (feed.remaining.has(rev)) await arrival(feed, rev, atMostMs);
  return acknowledgementOf(deps, rev);
}

function arrival(feed: Feed, rev: number, atMostMs: number): Promise<void> {
  return new Promise((resolve) => {
    const waiting = feed.waiting.get(rev) ?? new Set();
    feed.waiting.set(rev, waiting);
    const done = () => {
      cancel();
      waiting.delete(done);
      if (waiting.size === 0) feed.waiting.delete(rev);
      resolve();
    };
    const cancel = feed.deps.clock.after(atMostMs, done);
    waiting.add(done);
    urge(feed, rev);
  });
}

/** Who has answered so far, on this node's knowledge. */
function guardsNow(feed: Feed, resource: string, rev: number): AnsweredGuard[] {
  const pending = feed.pending.get(resource)?.find((one) => one.rev === rev);
  if (!pending) return [];
  return answersOf(feed, resource, pending).map(([guard, at]) => (at > 0 ? { guard, appliedAt: at } : { guard }));
}
