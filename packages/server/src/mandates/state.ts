/** How mandates stand and what is left of them, for whoever looks at many. */
import type { Queries } from '../store/database.ts';
import type { Mandate } from './mandate.ts';
import { isStopping, linksOf } from './standing.ts';
import { findMandate } from './store.ts';

/** `stopped`: something that it rests on doesn't let it be used. */
export const mandateStatuses = ['active', 'paused', 'stopped', 'expired', 'ended'] as const;
export type MandateStatus = (typeof mandateStatuses)[number];

export interface MandateState {
  status: MandateStatus;
  /** Id of what stops it: a mandate above it, the person, an agent, an instance or the organization. */
  stoppedBy: string | undefined;
}

/** How each of these stands at `now` (ms), by its id. What several rest on is looked up once. */
export async function statesOf(
  q: Queries,
  mandates: readonly Mandate[],
  now: number,
): Promise<ReadonlyMap<string, MandateState>> {
  const known = new Map(mandates.map((each) => [each.id, each]));
  const stopping = new Map<string, boolean>();
  const stops = async (id: string) => {
    const stopped = stopping.get(id) ?? (await isStopping(q, id, now));
    stopping.set(id, stopped);
    return stopped;
  };
  const states = new Map<string, MandateState>();
  for (const mandate of mandates) {
    const above = await aboveIt(q, mandate, known);
    states.set(mandate.id, await stateOf(mandate, [...linksOf([mandate, ...above]), ...mandate.ancestors], now, stops));
  }
  return states;
}

/** How a single one stands. */
export async function mandateState(q: Queries, mandate: Mandate, now: number): Promise<MandateState> {
  return (await statesOf(q, [mandate], now)).get(mandate.id) as MandateState;
}

async function aboveIt(q: Queries, { ancestors }: Mandate, known: Map<string, Mandate>): Promise<Mandate[]> {
  const above: Mandate[] = [];
  for (const id of ancestors) {
    const found = known.get(id) ?? (await findMandate(q, id));
    if (!found) continue; // it was forgotten, and is alive no more
    known.set(id, found);
    above.push(found);
  }
  return above;
}

async function stateOf(
  { id, endedAt, endsAt }: Mandate,
  links: readonly string[],
  now: number,
  stops: (id: string) => Promise<boolean>,
): Promise<MandateState> {
  if (endedAt !== undefined) return { status: 'ended', stoppedBy: undefined };
  if (endsAt <= now) return { status: 'expired', stoppedBy: undefined };
  for (const each of links) {
    if (!(await stops(each))) continue;
    return each === id ? { status: 'paused', stoppedBy: undefined } : { status: 'stopped', stoppedBy: each };
  }
  return { status: 'active', stoppedBy: undefined };
}
