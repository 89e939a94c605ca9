/** Whether a mandate may be used, and how it stops. */
import { instanceAlive, restsOn as restsOnOf } from '../agents/instance-standing.ts';
import { findInstance } from '../agents/instance-store.ts';
import { isId } from '../lib/ids.ts';
import {
  endSubject,
  firstEnd,
  firstNotAlive,
  registerSubject,
  resumeSubject,
  suspendSubject,
} from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { Mandate } from './mandate.ts';
import { setMandateEnded } from './store.ts';

/** A resumed mandate goes on: what it let an agent do isn't asked anew, its earlier tokens stay dead. */
const sinceEver = Number.MAX_SAFE_INTEGER;

/** What stands in the way of a mandate: nothing, or the id of what is paused, suspended, ended or over. */
export interface MandateStanding {
  /** Ids of all that it rests on: the links of its line, and whatever the instances among these rest on themselves. */
  restsOn: readonly string[];
  stoppedBy: string | undefined;
  /** When the first of these is over by itself, if nothing ends it before (milliseconds). */
  endsAt: number;
}

/**
 * How a mandate stands at `now` (ms): it flows only where everything above it does.
 * @param line the mandate first, then its ancestors up to the root, as `mandateWithAncestors` answers them
 */
export async function mandateStanding(q: Queries, line: readonly Mandate[], now: number): Promise<MandateStanding> {
  const { restsOn, endsAt } = await mandateRestsOn(q, line);
  for (const id of linksOf(line)) if (await isStopping(q, id, now)) return { restsOn, stoppedBy: id, endsAt };
  return { restsOn, stoppedBy: undefined, endsAt };
}

/** Ids of everything whose end or suspension stops what flows through this line, and when the first of it ends by itself. */
export async function mandateRestsOn(
  q: Queries,
  line: readonly Mandate[],
): Promise<Pick<MandateStanding, 'restsOn' | 'endsAt'>> {
  const links = linksOf(line);
  const ids = new Set(links);
  const ends = line.map(({ endsAt }) => endsAt);
  for (const id of links) {
    const instance = isId('instance', id) ? await findInstance(q, id) : undefined;
    if (!instance) continue;
    for (const each of restsOnOf(instance)) ids.add(each);
    ends.push(instance.expiresAt);
  }
  const restsOn = [...ids];
  return { restsOn, endsAt: Math.min(...ends, (await firstEnd(q, restsOn)) ?? Number.POSITIVE_INFINITY) };
}

/** Ids of what a line is made of, each of which can stop it: its mandates, their agents and instances, the person, the organization. */
export function linksOf(line: readonly Mandate[]): string[] {
  const ids = line.flatMap(({ id, agent, instance, given }) => [
    ...[id, agent],
    ...[instance, given.instance].filter((each) => each !== undefined),
  ]);
  const [first] = line;
  return [...new Set([...ids, ...(first ? [first.person, first.org] : [])])];
}

/** Whether a link of a line stops it at `now` (ms). An instance does so too once its time is up, or what it rested on was stopped, be it resumed. */
export async function isStopping(q: Queries, id: string, now: number): Promise<boolean> {
  if ((await firstNotAlive(q, [id], { rev: sinceEver, now })) !== undefined) return true;
  if (!isId('instance', id)) return false;
  const instance = await findInstance(q, id);
  return !instance || !(await instanceAlive(q, instance, now));
}

/** Says that a mandate is alive, in the transaction that has inserted it. */
export async function registerMandate(tx: Tx, { id, agent, endsAt, createdAt }: Mandate): Promise<void> {
  await registerSubject(tx, { id, kind: 'mandate', parent: agent, endsAt, now: createdAt });
}

export interface MandateChange {
  reason: string;
  by: string;
  now: number;
}

/** Ends a mandate for good, and with it all tokens of it and of what it was passed on to. In `Database.transaction` alone. */
export async function endMandate(tx: Tx, { id }: Mandate, change: MandateChange): Promise<number | undefined> {
  const rev = await endSubject(tx, { ...change, id });
  if (rev !== undefined) await setMandateEnded(tx, id, change.now);
  return rev;
}

/** Stops it until it is resumed; tokens of it and below it are dead at once, and stay so. In `Database.transaction` alone. */
export const pauseMandate = (tx: Tx, { id }: Mandate, change: MandateChange): Promise<number | undefined> =>
  suspendSubject(tx, { ...change, id });

export const resumeMandate = (tx: Tx, { id }: Mandate, now: number): Promise<boolean> => resumeSubject(tx, { id, now });
