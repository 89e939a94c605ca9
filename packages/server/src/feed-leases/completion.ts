/**
 * When a revocation is acknowledged. Nothing is accepted after it, because whoever accepts holds a lease that was given without it (as of a
 * smaller number) and hasn't applied it; and of each of those it is known that it has applied it, or that the lease has run out:
 * - of this node: a turn that has seen a revocation comes after every lease that was given without it was noted (turn.ts).
 * - it was told that a token is active, and believes that for a while: that was noted before it was read (holds.ts).
 * - of another node: its row was there before it gave its first lease, in the same snapshot as of which it gave it. The rows are read after
 *   the revocation was seen. So each node that gave a lease without it is among them; and it confirms, or we wait for as long as it may have
 *   given leases for, counted from now, where the guard counts from before.
 */

import { answersOf } from './answers.ts';
import { confirm } from './confirm.ts';
import { heldNow } from './holds.ts';
import { hasConfirmed, turnToWrite } from './nodes.ts';
import { writeDown } from './record.ts';
import { heldUntil, type Session, safeUpTo } from './session.ts';
import type { Feed, Pending, Sighting } from './state.ts';

/** How long a node leaves it to those before it to write down what all of them know. Milliseconds each. */
const writtenAfterMs = 500;

/** From now on these revocations are waited for. By ascending number. */
export function expect(
  feed: Feed,
  fresh: readonly (Omit<Pending, 'seen' | 'held'> & { resource: string })[],
  seen: Sighting,
): void {
  for (const { resource, rev, subject, org } of fresh) {
    feed.newest = Math.max(feed.newest, rev);
    const remaining = feed.remaining.get(rev) ?? new Set();
    if (remaining.has(resource)) continue;
    feed.remaining.set(rev, remaining.add(resource));
    const pending = feed.pending.get(resource);
    const one = { rev, subject, org, seen, held: heldNow(feed, resource) };
    if (!pending) feed.pending.set(resource, [one]);
    else if ((pending.at(-1)?.rev ?? 0) < rev) pending.push(one);
    else
      feed.pending.set(
        resource,
        [...pending, one].sort((a, b) => a.rev - b.rev),
      );
  }
}

/** Finds out what is acknowledged by now, has it written down and told, and comes back when a lease runs out that something waits for. */
export function evaluate(feed: Feed): void {
  const now = feed.deps.clock.monotonic();
  let next = Number.POSITIVE_INFINITY;
  confirm(feed, (resource) => safeHere(feed, resource, feed.deps.clock.monotonic()));
  for (const [resource, pending] of feed.pending) {
    const safe = safeHere(feed, resource, now);
    let done = 0;
    for (; done < pending.length; done++) {
      const one = pending[done] as Pending;
      const until = waitsUntil(feed, resource, one, { safe, now });
      if (until <= now) continue;
      next = Math.min(next, until);
      break;
    }
    if (done > 0) complete(feed, resource, pending.splice(0, done), now);
    if (pending.length === 0) feed.pending.delete(resource);
  }
  for (const { due } of feed.completed) next = Math.min(next, due);
  writeDown(feed);
  feed.cancelTimer?.();
  feed.cancelTimer =
    Number.isFinite(next) && !feed.stopped
      ? feed.deps.clock.after(Math.max(1, next - now), () => evaluate(feed))
      : undefined;
}

/** The same once for all who are heard in this turn of the event loop. */
export function evaluateSoon(feed: Feed): void {
  if (feed.evaluating) return;
  feed.evaluating = true;
  setImmediate(() => {
    feed.evaluating = false;
    if (!feed.stopped) evaluate(feed);
  });
}

/** Up to which number no lease-holder of this node accepts any more what was revoked. */
function safeHere(feed: Feed, resource: string, now: number): number {
  let safe = Number.POSITIVE_INFINITY;
  for (const session of holders(feed, resource)) safe = Math.min(safe, safeUpTo(session, now));
  const believed = feed.pending.get(resource)?.find(({ held }) => held.until > now);
  return believed === undefined ? safe : Math.min(safe, believed.rev - 1);
}

const holders = (feed: Feed, resource: string): Iterable<Session> => feed.followed.get(resource)?.sessions ?? [];

/** When it is time to look again at this revocation; now or before if nothing is waited for. */
function waitsUntil(
  feed: Feed,
  resource: string,
  { rev, seen, held }: Pending,
  { safe, now }: { safe: number; now: number },
): number {
  let until = held.until;
  if (safe < rev) {
    for (const session of holders(feed, resource)) {
      if (safeUpTo(session, now) < rev) until = Math.max(until, heldUntil(session, rev));
    }
  }
  for (const [node, end] of seen.nodes) {
    if (end > now && !hasConfirmed(feed, node, resource, rev)) until = Math.max(until, end);
  }
  return until;
}

function complete(feed: Feed, resource: string, revocations: Pending[], now: number): void {
  const last = revocations.at(-1) as Pending;
  const waited = revocations.some(({ rev }) => feed.waiting.has(rev));
  feed.completed.push({
    resource,
    org: last.org,
    revocations,
    at: feed.deps.clock.now(),
    guards: answersOf(feed, resource, last),
    due: waited ? now : now + turnToWrite(feed) * writtenAfterMs,
  });
}
