/** Whether a mandate may be used, and how it stops. */
import type { Instance } from '../agents/instance.ts';
import { isAliveAmong, restsOn as restsOnOf } from '../agents/instance-standing.ts';
import { findInstance } from '../agents/instance-store.ts';
import { isId } from '../lib/ids.ts';
import { rememberedPer } from '../lib/remember.ts';
import {
  type Counter,
  endSubject,
  firstEnd,
  firstStopped,
  registerSubject,
  resumeSubject,
  type Subjects,
  subjectsNow,
  suspendSubject,
} from '../liveness/liveness.ts';
import type { Database, Queries, Tx } from '../store/database.ts';
import type { Mandate } from './mandate.ts';
import { mandateWithAncestors, setMandateEnded } from './store.ts';

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
  return standingIn(await readLinks(q, linksOf(line)), line, now);
}

function standingIn(read: Read, line: readonly Mandate[], now: number): MandateStanding {
  const stoppedBy = linksOf(line).find((id) => isStoppedIn(read, id, now));
  return { restsOn: read.restsOn, stoppedBy, endsAt: endOf(line, read) };
}

/** A mandate first, then those that it came from up to the root, and how they stand. */
export interface StandingLine extends MandateStanding {
  line: readonly [Mandate, ...Mandate[]];
}

type ReadLine = { line: StandingLine['line']; read: Read };
const lines = rememberedPer<ReadLine>(20_000);

/**
 * The line of the mandate with this id and how it stands at `now` (ms), read once as long as nothing is revoked or resumed and the registry stays: whatever
 * changes a mandate, or stops what it rests on, moves one of the two. Only of running copies that is not so, and they are read each time.
 * Undefined if there is none.
 */
export async function standingLine(
  db: Database,
  { rev, version }: Counter,
  id: string,
  now: number,
): Promise<StandingLine | undefined> {
  let fresh: ReadLine | undefined;
  const known = await lines(db).get(rev + version, id, async () => {
    fresh = await readLine(db, id);
    return fresh?.read.instances.size === 0 ? fresh : undefined;
  });
  const { line, read } = known ?? fresh ?? {};
  return line && read && { line, ...standingIn(read, line, now) };
}

async function readLine(q: Queries, id: string): Promise<ReadLine | undefined> {
  const [first, ...above] = (await mandateWithAncestors(q, id)) ?? [];
  if (!first) return undefined;
  const line = [first, ...above] as const;
  return { line: [...line], read: await readLinks(q, linksOf(line)) };
}

/** Ids of everything whose end or suspension stops what flows through this line, and when the first of it ends by itself. */
export async function mandateRestsOn(
  q: Queries,
  line: readonly Mandate[],
): Promise<Pick<MandateStanding, 'restsOn' | 'endsAt'>> {
  const read = await readLinks(q, linksOf(line));
  return { restsOn: read.restsOn, endsAt: endOf(line, read) };
}

/** How links of a line stand, with whatever the instances among them rest on. */
interface Read {
  restsOn: readonly string[];
  instances: ReadonlyMap<string, Instance>;
  subjects: Subjects;
}

async function readLinks(q: Queries, links: readonly string[]): Promise<Read> {
  const ids = new Set(links);
  const instances = new Map<string, Instance>();
  for (const id of links) {
    const instance = isId('instance', id) ? await findInstance(q, id) : undefined;
    if (!instance) continue;
    instances.set(id, instance);
    for (const each of restsOnOf(instance)) ids.add(each);
  }
  const restsOn = [...ids];
  return { restsOn, instances, subjects: await subjectsNow(q, restsOn) };
}

const endOf = (line: readonly Mandate[], { instances, subjects }: Read): number =>
  Math.min(
    ...line.map(({ endsAt }) => endsAt),
    ...[...instances.values()].map(({ expiresAt }) => expiresAt),
    firstEnd(subjects),
  );

function isStoppedIn({ subjects, instances }: Read, id: string, now: number): boolean {
  if (firstStopped(subjects, [id], { rev: sinceEver, now }) !== undefined) return true;
  if (!isId('instance', id)) return false;
  const instance = instances.get(id);
  return !instance || !isAliveAmong(subjects, instance, now);
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
  return isStoppedIn(await readLinks(q, [id]), id, now);
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
