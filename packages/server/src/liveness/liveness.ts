/**
 * What is alive, and what has ended when (design §4). Every revocation has a number; a token carries the number as
 * of which it was planned, and is dead once anything that it names or links was revoked under a greater one. No
 * clocks are compared.
 */
import { linkTag } from '@bailiwick/protocol';
import type { Queries, Tx } from '../store/database.ts';
import { feedRevocation, feedTopic } from './reach.ts';
import {
  anyRevokedSince,
  type Counter,
  deleteSubjects,
  endedTokensBefore,
  findSubject,
  findSubjects,
  insertEnded,
  insertRevocation,
  insertSubject,
  lastSuspension,
  moveSubject,
  nextRev,
  nextVersion,
  readCounter,
  revIn,
  type SubjectRow,
  type SubjectState,
  setEnd,
  stopSubject,
} from './store.ts';

export { feedTopic, noteReach, reachMarginMs, reachOf } from './reach.ts';
export type { Counter, SubjectState } from './store.ts';
export { belongingOf } from './store.ts';

export type SubjectKind =
  | 'organization'
  | 'person'
  | 'team'
  | 'agent'
  | 'credential'
  | 'enrolment_token'
  | 'instance'
  | 'resource'
  | 'role'
  | 'task'
  | 'mandate'
  | 'policy'
  | 'grant'
  | 'guard'
  | 'trust_domain'
  | 'trusted_issuer'
  | 'key'
  | 'token';

/** A change to what is alive: of what, why, by which agent, when (milliseconds). */
export interface Change {
  id: string;
  reason: string;
  by: string;
  now: number;
}

/** In one statement. */
const forgottenAtOnce = 500;

/** Kinds that no memory of the registry tells of: they come and go without a new version of it. */
const unremembered: ReadonlySet<SubjectKind> = new Set(['instance', 'enrolment_token', 'task', 'mandate', 'token']);

/** As of when a request is answered: the last revocation, and the version of the registry. Read before anything else. */
export async function asOf(q: Queries): Promise<Counter> {
  return readCounter(q);
}

/** Says that something is alive from now on, until `endsAt` (milliseconds) if it has an end. */
export async function registerSubject(
  tx: Tx,
  subject: { id: string; kind: SubjectKind; parent?: string; endsAt?: number; now: number },
): Promise<void> {
  if (!(await insertSubject(tx, subject))) throw new Error(`${subject.id} is registered already`);
  if (!unremembered.has(subject.kind)) await nextVersion(tx);
}

/** Ends something for good; ending it again changes nothing. Answers the number of the revocation, if there was one. */
export async function endSubject(tx: Tx, change: Change): Promise<number | undefined> {
  return revoke(tx, change, 'ended');
}

/** Stops something until it is resumed. Answers undefined if it was not active. */
export async function suspendSubject(tx: Tx, change: Change): Promise<number | undefined> {
  return revoke(tx, change, 'suspended');
}

/** Lets something act again; its earlier tokens stay dead. Answers false if it was not suspended. */
export async function resumeSubject(tx: Tx, change: { id: string; now: number }): Promise<boolean> {
  const moved = await moveSubject(tx, { ...change, from: 'suspended', to: 'active' });
  if (moved) await nextVersion(tx);
  return moved;
}

/** Kills every token that rests on what something allowed until now; the thing itself stays alive, narrower. */
export async function narrowSubject(tx: Tx, change: Change): Promise<number> {
  const rev = await nextRev(tx, 1);
  await recordRevocation(tx, change, { effect: 'narrowed', rev, isRemembered: true });
  return rev;
}

/**
 * Ends one token before its time. Answers undefined if it was ended already.
 * @param token its `jti`, its `exp` in milliseconds, whose it is, and the id of the resource that it is for
 * @see RFC 7009 §2.1
 */
export async function endToken(
  tx: Tx,
  token: { jti: string; agent: string; endsAt: number; resource: string },
  change: Omit<Change, 'id'>,
): Promise<number | undefined> {
  const { jti, agent, endsAt, resource } = token;
  const subject = { id: jti, kind: 'token', parent: agent, endsAt } as const;
  return endUnregistered(tx, subject, { ...change, id: jti }, { resource, endsAt });
}

/** Ends a signing key (`kid`) for good, and with it every token that it signed. Answers undefined if it was ended already. */
export async function endKey(tx: Tx, change: Change): Promise<number | undefined> {
  return endUnregistered(tx, { id: change.id, kind: 'key' }, change);
}

/** Under which number something was last stopped; undefined if it never was. */
export async function lastStop(q: Queries, id: string): Promise<number | undefined> {
  return (await findSubject(q, id))?.ended_rev ?? undefined;
}

/** Moves when something ends by itself. An earlier end is a narrowing: say so with `narrowSubject` too. */
export async function setSubjectEnd(
  tx: Tx,
  subject: { id: string; endsAt: number | undefined; now: number },
): Promise<void> {
  await setEnd(tx, subject.id, subject.endsAt ?? null, subject.now);
  await nextVersion(tx);
}

/** Says that the registry has changed in a way that takes nothing away: whoever remembers it reads it anew. */
export async function touchRegistry(tx: Tx): Promise<void> {
  await nextVersion(tx);
}

/** How something stands, or undefined if it was never registered. Its own end in time is not looked at. */
export async function subjectStatus(q: Queries, id: string): Promise<SubjectState | undefined> {
  return (await findSubject(q, id))?.state;
}

/**
 * Inside the issuing transaction, which holds the liveness lock shared: whether anything that a plan rests on has
 * ended since the plan was begun. One read, as long as nothing at all was revoked meanwhile.
 * @param ids what the token names and links
 * @param tags what of that only the tags are known of
 */
export async function endedSince(
  tx: Tx,
  ids: readonly string[],
  rev: number,
  tags: readonly string[] = [],
): Promise<boolean> {
  if ((await revIn(tx)) === rev) return false;
  return anyRevokedSince(tx, [...new Set([...ids.map(linkTag), ...tags])], rev);
}

/** How several things stand, read at once. What isn't among them was never registered. */
export type Subjects = ReadonlyMap<string, SubjectRow>;

export const subjectsNow = (q: Queries, ids: readonly string[]): Promise<Subjects> => findSubjects(q, ids);

/**
 * Which of these may not act: stopped or ended now, ended by time, never registered, or stopped since `rev` and resumed.
 * For what was made as of `rev` and rests on all of them.
 */
export async function firstNotAlive(
  q: Queries,
  ids: readonly string[],
  at: { rev: number; now: number },
): Promise<string | undefined> {
  return firstStopped(await subjectsNow(q, ids), ids, at);
}

/** The same of what was read already. */
export function firstStopped(
  subjects: Subjects,
  ids: readonly string[],
  { rev, now }: { rev: number; now: number },
): string | undefined {
  return ids.find((id) => {
    const subject = subjects.get(id);
    if (subject?.state !== 'active') return true;
    if (subject.ends_at !== null && subject.ends_at <= now) return true;
    return subject.ended_rev !== null && subject.ended_rev > rev;
  });
}

/** When the first of these ends by itself (milliseconds), as far as any of them does. */
export const firstEnd = (subjects: Subjects): number =>
  Math.min(...[...subjects.values()].map(({ ends_at }) => ends_at ?? Number.POSITIVE_INFINITY));

/**
 * Whether one of these was suspended at `time` (ms) or later, be it resumed meanwhile. For what somebody signed elsewhere and
 * dated: it carries no number, so that this compares a foreign clock with ours.
 */
export async function suspendedSince(q: Queries, ids: readonly string[], time: number): Promise<boolean> {
  for (const id of ids) {
    const at = await lastSuspension(q, id, linkTag(id));
    if (at !== undefined && at >= time) return true;
  }
  return false;
}

/**
 * Whether a token that was issued as of `rev` has been ended by a revocation.
 * @param tags the link tags of all that it names and links
 */
export async function tagsEndedSince(q: Queries, tags: readonly string[], rev: number): Promise<boolean> {
  return anyRevokedSince(q, tags, rev);
}

/**
 * Forgets things that ended so long ago that no token which rests on them can live any more: instances, and what they
 * were enrolled with. What has a name of its own is never forgotten.
 */
export async function forgetSubjects(tx: Tx, ids: readonly string[]): Promise<void> {
  for (let i = 0; i < ids.length; i += forgottenAtOnce) {
    const some = ids.slice(i, i + forgottenAtOnce);
    await deleteSubjects(
      tx,
      some.map((id) => ({ id, tag: linkTag(id) })),
    );
  }
}

/**
 * Forgets single tokens that were ended, once they have been over since `time` (ms): nobody would believe them, ended or not.
 * Answers how many, of so many at most.
 */
export async function forgetTokens(tx: Tx, time: number): Promise<{ forgotten: number; atMost: number }> {
  const ids = await endedTokensBefore(tx, time, forgottenAtOnce);
  await forgetSubjects(tx, ids);
  return { forgotten: ids.length, atMost: forgottenAtOnce };
}

async function revoke(tx: Tx, change: Change, to: 'ended' | 'suspended'): Promise<number | undefined> {
  // the number is taken only if there is something to end, so that repeating an order costs nobody a thing
  const stopped = await stopSubject(tx, { id: change.id, to, now: change.now });
  if (stopped === undefined) return undefined;
  const isRemembered = !unremembered.has(stopped.kind as SubjectKind);
  await takeRev(tx, stopped.rev, isRemembered);
  await recordRevocation(tx, change, { effect: to, rev: stopped.rev, isRemembered });
  return stopped.rev;
}

/** Ends what is known only from its end on. @param token of one: for which resource it is, and until when (ms) */
async function endUnregistered(
  tx: Tx,
  subject: { id: string; kind: SubjectKind; parent?: string; endsAt?: number },
  change: Change,
  token?: { resource: string; endsAt: number },
): Promise<number | undefined> {
  const rev = await insertEnded(tx, { ...subject, now: change.now });
  if (rev === undefined) return undefined;
  const isRemembered = !unremembered.has(subject.kind);
  await takeRev(tx, rev, isRemembered);
  await recordRevocation(tx, change, { effect: 'ended', rev, isRemembered, token });
  return rev;
}

/** Takes the number that was noted already. In `Database.transaction` it is the next one. */
async function takeRev(tx: Tx, noted: number, isRemembered: boolean): Promise<void> {
  const rev = await nextRev(tx, isRemembered ? 1 : 0);
  if (rev !== noted)
    throw new Error(
      `revocation ${noted} was noted, and ${rev} taken: something revokes outside of Database.transaction`,
    );
}

async function recordRevocation(
  tx: Tx,
  change: Change,
  given: {
    effect: 'ended' | 'suspended' | 'narrowed';
    rev: number;
    isRemembered: boolean;
    token?: { resource: string; endsAt: number } | undefined;
  },
): Promise<void> {
  const { effect, rev, isRemembered, token } = given;
  const tag = linkTag(change.id);
  await insertRevocation(tx, { ...change, rev, subject: change.id, tag, effect });
  const reaches = await feedRevocation(tx, { rev, tag, now: change.now, token });
  // nobody who follows a feed rests on what comes and goes by thousands; but it may be a guard itself that was stopped
  if (reaches || isRemembered) await tx.notify(feedTopic, String(rev));
}
