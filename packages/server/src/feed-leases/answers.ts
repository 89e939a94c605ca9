/** Who has answered a revocation, and how: what people are shown of an acknowledgement. */
import { appliedAt, type Session } from './session.ts';
import type { Feed, GuardAnswer, Pending } from './state.ts';

/** What the lease-holders of this node have to say of a revocation; 0 for those that haven't applied it. */
export function answersHere(feed: Feed, resource: string, { rev, seen, held }: Pending): GuardAnswer[] {
  const answers = new Map<string, number>(held.guards.map((guard) => [guard, -1]));
  for (const session of feed.followed.get(resource)?.sessions ?? []) {
    if (!wasHolder(session, seen)) continue;
    const at = appliedAt(session, rev) ?? 0;
    const known = answers.get(session.guard);
    answers.set(session.guard, known === undefined ? at : worst(known, at));
  }
  return [...answers];
}

/** The same of all nodes, as far as they have said. */
export function answersOf(feed: Feed, resource: string, pending: Pending): GuardAnswer[] {
  const answers = new Map<string, number>(answersHere(feed, resource, pending));
  for (const node of pending.seen.nodes.keys()) {
    const said = feed.confirmed.get(node)?.answers.get(resource);
    if (!said || said.to < pending.rev) continue;
    for (const [guard, at] of said.guards) {
      const known = answers.get(guard);
      answers.set(guard, known === undefined ? at : worst(known, at));
    }
  }
  return [...answers].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Of several processes of one guard the last counts; one that hasn't applied it counts most. */
const worst = (a: number, b: number): number => (a === 0 || b === 0 ? 0 : Math.max(a, b));

/** Whether it may have held a lease that was given without what was seen then. */
const wasHolder = (session: Session, { turn, at }: Pending['seen']): boolean =>
  session.since !== undefined && session.since < turn && session.until > at;
