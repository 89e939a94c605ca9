/** When a revocation is known to everybody whom it concerns (design §4). Why nothing is accepted after it: completion.ts. */
import type { Deps } from '../deps.ts';
import { forgottenUpTo, selectAnswers, selectHeard } from '../liveness/feed-store.ts';
import { answersOf } from './answers.ts';
import { adopt, feedOf } from './feed.ts';
import { urge } from './record.ts';
import { type Silent, silentGuards } from './silent-guards.ts';
import type { Feed, GuardAnswer } from './state.ts';
import { caughtUp } from './turn.ts';

/** How far a revocation has arrived. Times in milliseconds since 1970. */
export interface Acknowledgement {
  rev: number;
  /** No guard that follows the feed, or asks about tokens, accepts any more what it ended. Of others see `unknown`, `unguarded`. */
  complete: boolean;
  /** The resources that it concerns; none if no unexpired token rested on what was revoked. */
  resources: AcknowledgedResource[];
  /** It is older than what is kept of answers: there is nothing to say of who had to be told. */
  forgotten?: true;
}

export interface AcknowledgedResource {
  /** Its id. */
  resource: string;
  acknowledgedAt?: number;
  /** Guards (`grd_…`) that held a lease when it came, each once: several processes of one guard are as far as the last of them. */
  guards: AnsweredGuard[];
  /**
   * Guards that are registered, and neither had to answer nor were seen to follow or to ask lately by this node: where one of them runs (`offline`,
   * say), it may accept what was ended until that expires.
   */
  unknown: string[];
  /** No guard is registered: whoever verifies tokens there hears of nothing. */
  unguarded?: true;
}

/** A guard has applied a revocation, or its lease has run out, or we still wait for either. */
export interface AnsweredGuard {
  guard: string;
  appliedAt?: number;
  lapsed?: true;
  /** It asks about tokens, and believed an earlier answer for a moment. */
  asked?: true;
}

/** How far the revocation with this number has arrived until now. One that reaches no resource is acknowledged at once. */
export async function acknowledgementOf(deps: Deps, rev: number): Promise<Acknowledgement> {
  const feed = feedOf(deps);
  await caughtUp(feed);
  return acknowledgementNow(feed, rev);
}

/** The same as far as this node has seen. */
async function acknowledgementNow(feed: Feed, rev: number): Promise<Acknowledgement> {
  const { db } = feed.deps;
  const rows = await selectAnswers(db, rev);
  const resources: AcknowledgedResource[] = [];
  for (const { resource, acknowledged_at, answers } of rows) {
    if (acknowledged_at === null) {
      const guards = guardsNow(feed, resource, rev);
      const ids = guards.map(({ guard }) => guard);
      resources.push({ resource, guards, ...(await silentGuards(feed, resource, ids)) });
    } else {
      const { guards, ...silent } = JSON.parse(answers ?? '{}') as Partial<WrittenAnswers>;
      const known = { acknowledgedAt: acknowledged_at, guards: (guards ?? []).map(answered) };
      resources.push({ resource, ...known, ...silent, unknown: silent.unknown ?? [] });
    }
  }
  const forgotten = rows.length === 0 && rev <= (await forgottenUpTo(db));
  return {
    rev,
    complete: rows.every((row) => row.acknowledged_at !== null),
    resources,
    ...(forgotten && { forgotten: true as const }),
  };
}

/** How answers are kept. */
type WrittenAnswers = Silent & { guards: GuardAnswer[] };

const answered = ([guard, at]: GuardAnswer): AnsweredGuard =>
  at > 0 ? { guard, appliedAt: at } : at < 0 ? { guard, asked: true } : { guard, lapsed: true };

/** The same once it is complete and on record, or after `atMostMs` as far as it is then. */
export async function acknowledged(deps: Deps, rev: number, atMostMs: number): Promise<Acknowledgement> {
  const feed = feedOf(deps);
  await caughtUp(feed);
  if (!feed.remaining.has(rev)) {
    const now = await acknowledgementNow(feed, rev);
    if (now.complete) return now;
    await adopt(feed);
  }
  if (atMostMs > 0 && feed.remaining.has(rev)) await untilAcknowledged(feed, rev, atMostMs);
  return acknowledgementNow(feed, rev);
}

/**
 * The same of everything that was ordered at once: each resource counts by the last number that it hears of.
 * @param numbers of the first and last that were ordered
 */
export async function orderAcknowledged(
  deps: Deps,
  numbers: { first: number; last: number },
  atMostMs: number,
): Promise<Pick<Acknowledgement, 'complete' | 'resources' | 'forgotten'>> {
  if (numbers.first === numbers.last) return acknowledged(deps, numbers.first, atMostMs);
  const heard = await selectHeard(deps.db, numbers);
  const byNumber = Map.groupBy(heard, ({ rev }) => rev);
  if (heard.length === 0) return acknowledgementOf(deps, numbers.first);
  const answers = await Promise.all([...byNumber.keys()].map((rev) => acknowledged(deps, rev, atMostMs)));
  return {
    complete: answers.every(({ complete }) => complete),
    // what hears of a later number of the same order counts there
    resources: answers.flatMap(({ rev, resources }) =>
      resources.filter(({ resource }) => byNumber.get(rev)?.some((one) => one.resource === resource)),
    ),
  };
}

function untilAcknowledged(feed: Feed, rev: number, atMostMs: number): Promise<void> {
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
  return answersOf(feed, resource, pending).map((answer) =>
    answer[1] === 0 ? { guard: answer[0] } : answered(answer),
  );
}
