/**
 * Guards that ask about tokens believe an answer for a while: an `active` one counts as a lease (completion.ts). It is noted before it is read how the
 * token stands. So whatever was seen to be revoked before it was noted is known to that reading, and whatever is seen later waits for it.
 */
import type { Deps } from '../deps.ts';
import { feedOf } from './feed.ts';
import { beatMissedMs, registerNode, sharesDatabase } from './nodes.ts';
import type { Feed } from './state.ts';

/** How long an answer may be believed at most, and how long guards believe it that don't say so (those of before). Milliseconds. */
export const longestHoldMs = 30_000;
export const usualHoldMs = 2_000;

/** An answer that is being looked for. */
export interface Hold {
  /** It is `active`. Answers false if it may not be given: this node was away for too long to be waited for. */
  keep(): boolean;
  /** It says no, or there is none: nobody waits for it. */
  release(): void;
}

/**
 * From now on acknowledgements for this resource wait until the guard doesn't believe an answer any more that it is given in so many milliseconds.
 * To be called before it is read how the token stands.
 * @throws whatever the database throws: no answer may be given then
 */
export async function holdAnswer(
  deps: Deps,
  { resource, guard, ms }: { resource: string; guard: string; ms: number },
): Promise<Hold> {
  const feed = feedOf(deps);
  const { clock } = deps;
  feed.lastSeen.set(guard, clock.monotonic());
  if (ms === 0) return { keep: () => true, release() {} };
  await registerNode(feed, ms);
  const end = clock.monotonic() + ms; // the guard counts from before
  const held = feed.held.get(resource) ?? { asking: new Set(), until: new Map() };
  feed.held.set(resource, held);
  const asking = { guard, end };
  held.asking.add(asking);
  return {
    keep() {
      held.asking.delete(asking);
      held.until.set(guard, Math.max(end, held.until.get(guard) ?? 0));
      return !sharesDatabase(feed) || clock.monotonic() - feed.beatAt < beatMissedMs;
    },
    release: () => void held.asking.delete(asking),
  };
}

/** Who may believe an answer now that doesn't know of what was just seen, and until when the last of them does. */
export function heldNow(feed: Feed, resource: string): { guards: readonly string[]; until: number } {
  const held = feed.held.get(resource);
  if (!held) return nobody;
  const now = feed.deps.clock.monotonic();
  const guards = new Set<string>();
  let last = 0;
  const add = (guard: string, end: number) => {
    if (end <= now) return;
    guards.add(guard);
    last = Math.max(last, end);
  };
  for (const { guard, end } of held.asking) add(guard, end);
  for (const [guard, end] of held.until) add(guard, end);
  return guards.size === 0 ? nobody : { guards: [...guards], until: last };
}

const nobody = { guards: [], until: 0 };

/** Forgets what nobody believes any more. For the minute's job. */
export function forgetHolds(feed: Feed): void {
  const now = feed.deps.clock.monotonic();
  for (const [resource, { asking, until }] of feed.held) {
    for (const [guard, end] of until) if (end <= now) until.delete(guard);
    if (asking.size === 0 && until.size === 0) feed.held.delete(resource);
  }
  for (const [guard, at] of feed.lastSeen) if (now - at > seenLatelyMs) feed.lastSeen.delete(guard);
}

/** A guard that asked or followed so long ago is one that does (ms): by then whatever it may have believed otherwise has expired. */
export const seenLatelyMs = 15 * 60_000;
