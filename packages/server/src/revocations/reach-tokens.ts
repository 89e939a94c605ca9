/**
 * How many unexpired tokens rest on something. Exact: by the index of the log, through those that could, newest first. It is looked for a moment and no
 * longer: whoever is about to revoke something doesn't wait for a count.
 */
import type { Deps } from '../deps.ts';
import { longestTokenMs } from '../keys/schedule.ts';
import { idAt } from '../lib/ids.ts';
import { caughtUp } from '../log/indexer.ts';
import { openTerm } from '../log/terms.ts';
import { eventsUnder } from './reach-store.ts';
import type { Target } from './revocable.ts';
import { type IssuedToken, lastRevocation } from './store.ts';
import type { RevocableKind } from './subjects.ts';

export interface LivingTokens {
  count: number;
  /** There was no time to count all. */
  more: boolean;
  /** When the last of them ends, by the id of its resource (milliseconds). */
  lastByResource: ReadonlyMap<string, number>;
}

const pageSize = 1_000;
const looksForMs = 1_000;
/** Events arrive a little after the instant in their ids. */
const marginMs = 60_000;

interface IssuedLeaf {
  agent: string;
  org: string;
  instance?: string;
  jti: string;
  decided_on: { expires_at: number; rev: number; links: string[]; task?: string; resource_id: string };
}

/**
 * Answers undefined for what no single organization's log tells of.
 * @param agents that are concerned with it, where it is somebody's who answers for agents
 */
export async function tokensOf(
  deps: Deps,
  { kind, target }: { kind: RevocableKind; target: Target },
  agents: readonly string[],
): Promise<LivingTokens | undefined> {
  const now = deps.clock.now();
  const ends = deps.clock.monotonic() + looksForMs;
  if (kind === 'token') return oneToken(deps, target as Target<IssuedToken>, now);
  const { org } = target;
  if (org === undefined) return undefined;
  const late = new Promise<undefined>((resolve) => deps.clock.after(looksForMs, () => resolve(undefined)));
  const upTo = await Promise.race([caughtUp(deps), late]);
  if (upTo === undefined) return { count: 0, more: true, lastByResource: new Map() };
  const owned = kind === 'team' || kind === 'person' ? agents : [];
  const resting = new Set([target.id, ...owned]);
  const dead = (await lastRevocation(deps.db, target.id)) ?? -1;
  const oldest = idAt('event', now - longestTokenMs - marginMs);
  const seen = new Set<string>();
  const lastByResource = new Map<string, number>();
  let more = false;
  for (const term of termsOf({ kind, target, org }, owned)) {
    for (let before = upTo + 1; ; ) {
      const rows = await eventsUnder(deps.db, { term, before, limit: pageSize });
      for (const { type, leaf } of rows) {
        if (type !== 'token.issued') continue;
        const { agent, instance, jti, decided_on } = JSON.parse(leaf) as IssuedLeaf;
        const { expires_at, rev, links, task, resource_id } = decided_on;
        if (expires_at <= now || rev < dead || seen.has(jti)) continue;
        if (![agent, org, instance, task, ...links].some((id) => id !== undefined && resting.has(id))) continue;
        seen.add(jti);
        lastByResource.set(resource_id, Math.max(expires_at, lastByResource.get(resource_id) ?? 0));
      }
      const last = rows.at(-1);
      if (!last || rows.length < pageSize || rows.every(({ id }) => id < oldest)) break;
      before = last.arrival;
      if (deps.clock.monotonic() < ends) continue;
      more = true;
      break;
    }
  }
  return { count: seen.size, more, lastByResource };
}

async function oneToken(deps: Deps, { id, thing }: Target<IssuedToken>, now: number): Promise<LivingTokens> {
  const lives = thing.endsAt > now && (await lastRevocation(deps.db, id)) === undefined;
  return { count: lives ? 1 : 0, more: false, lastByResource: new Map(lives ? [[thing.resource, thing.endsAt]] : []) };
}

/** Under which numbers the issue of every token is found that could rest on it. */
function termsOf(
  { kind, target, org }: { kind: RevocableKind; target: Target; org: string },
  owned: readonly string[],
): number[] {
  // what is an agent's own: its tokens alone. What was passed on of a mandate is other agents'
  if (target.agent !== undefined && kind !== 'mandate') return [openTerm(org, 'agent', target.agent.id)];
  if (kind === 'team') return owned.map((id) => openTerm(org, 'agent', id));
  return [openTerm(org, 'type', 'token.issued')];
}
