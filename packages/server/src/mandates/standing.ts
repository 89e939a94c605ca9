/** Whether a mandate may be used, and how it stops. */
import { endSubject, firstNotAlive, registerSubject, resumeSubject, suspendSubject } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { Mandate } from './mandate.ts';
import { setMandateEnded } from './store.ts';

/** A resumed mandate goes on: what it let an agent do isn't asked anew, its earlier tokens stay dead. */
const sinceEver = Number.MAX_SAFE_INTEGER;

/** What stands in the way of a mandate: nothing, or the id of what is paused, suspended, ended or over. */
export interface MandateStanding {
  /** Ids of all that it rests on: itself and the mandates above it, the person, and every agent and instance in between. */
  restsOn: readonly string[];
  stoppedBy: string | undefined;
}

/**
 * How a mandate stands at `now` (ms): it flows only where everything above it does.
 * @param line the mandate first, then its ancestors up to the root, as `mandateWithAncestors` answers them
 */
export async function mandateStanding(q: Queries, line: readonly Mandate[], now: number): Promise<MandateStanding> {
  const restsOn = mandateRestsOn(line);
  return { restsOn, stoppedBy: await firstStopping(q, restsOn, now) };
}

/** The first of what a mandate rests on that stops it at `now` (ms). */
export const firstStopping = (q: Queries, ids: readonly string[], now: number): Promise<string | undefined> =>
  firstNotAlive(q, ids, { rev: sinceEver, now });

/** Ids of everything whose end or suspension stops what flows through this line. @param line the mandate first */
export function mandateRestsOn(line: readonly Mandate[]): string[] {
  const ids = line.flatMap(({ id, agent, instance }) => [id, agent, ...(instance === undefined ? [] : [instance])]);
  const [first] = line;
  return [...new Set([...ids, ...(first ? [first.person, first.org] : [])])];
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
