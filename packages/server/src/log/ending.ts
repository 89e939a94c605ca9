/** What ended the tokens of a story before their time, whatever it was: a role, a key, an organization end them as much as their agent does. */
import { linkTag } from '@bailiwick/protocol';
import type { OpenedEvent } from '../audit/audit.ts';
import type { EventType } from '../audit/event.ts';
import type { Queries } from '../store/database.ts';
import { type Ending, findEnding, selectEndings } from './ending-store.ts';
import type { EventFilter } from './filter.ts';
import type { TermValue } from './terms.ts';

/** By what events a revocation is told. */
const toldBy: readonly EventType[] = [
  'agent.retired',
  'agent.suspended',
  'agent.updated',
  'credential.ended',
  'credential.rotated',
  'credential.updated',
  'instance.ended',
  'key.revoked',
  'mandate.ended',
  'mandate.narrowed',
  'mandate.paused',
  'operator.recovered',
  'organization.suspended',
  'person.erased',
  'person.updated',
  'resource.retired',
  'resource.updated',
  'role.retired',
  'role.updated',
  'role.withdrawn',
  'task.ended',
  'team.retired',
  'token.revoked',
  'trust_domain.removed',
  'trusted_issuer.removed',
  'trusted_issuer.suspended',
  'trusted_issuer.updated',
];

/** An event is written with what it tells of, and an acknowledgement when the longest lease has run out at the latest (ms). */
const toldWithin = 10_000;
const acknowledgedWithin = 120_000;
const revocationsAtMost = 16;

export interface Endings {
  /** When each token was ended that was ended before its time, by its `jti` (ms). */
  at: ReadonlyMap<string, number>;
  /** What ended them, the cause of each among them, oldest first. */
  revocations: readonly Ending[];
}

/** @param issues events of type `token.issued` */
export async function endingsOf(q: Queries, issues: readonly OpenedEvent[]): Promise<Endings> {
  const at = new Map<string, number>();
  const revocations = new Map<number, Ending>();
  for (const { leaf } of issues.toSorted((a, b) => a.arrival - b.arrival)) {
    const { rev, expires_at, subject_token } = leaf.decided_on as {
      rev: number;
      expires_at: number;
      subject_token?: string;
    };
    const ids = restsOn(leaf);
    const found = await selectEndings(q, ids.map(linkTag), rev);
    // tags are short: another id may have the same
    const endings = found.filter((one) => one.at < expires_at && ids.includes(one.subject));
    // what ends a token ends what came of it
    const ended = Math.min(
      endings[0]?.at ?? Number.POSITIVE_INFINITY,
      at.get(subject_token as string) ?? Number.POSITIVE_INFINITY,
    );
    if (ended < expires_at) at.set(leaf.jti as string, ended);
    for (const one of endings) {
      if (revocations.size >= revocationsAtMost) break;
      revocations.set(one.rev, one);
      const cause = one.cause === null || revocations.has(one.cause) ? undefined : await findEnding(q, one.cause);
      if (cause) revocations.set(cause.rev, cause);
    }
  }
  return { at, revocations: [...revocations.values()].sort((a, b) => a.rev - b.rev) };
}

/** Ids of all whose end is the end of a token, as the event of its issue tells of them. */
function restsOn({ jti, agent, org, instance, decided_on }: OpenedEvent['leaf']): string[] {
  const { links, task, kid } = decided_on as { links?: string[]; task?: string; kid?: string };
  const ids = [jti, agent, org, instance, task, kid, ...(links ?? [])];
  return [...new Set(ids.filter((id): id is string => typeof id === 'string'))];
}

/** Under what the events of these revocations are found. */
export function toldUnder(revocations: readonly Ending[]): Partial<EventFilter> {
  const subjects = [...new Set(revocations.map(({ subject }) => subject))];
  return {
    any: subjects.flatMap((id): TermValue[] => [
      ['turn', id],
      ['jti', id], // whoever gives a token up itself
    ]),
    types: toldBy,
    ...within(revocations, toldWithin),
  };
}

/** Which events that were found so tell of one of them, not of another change of the same thing: by their number, or by when it was. */
export function tellingOf(revocations: readonly Ending[], events: readonly OpenedEvent[]): OpenedEvent[] {
  const numbered = new Set(events.map(revOf));
  const isTold = ({ rev, cause }: Ending) => numbered.has(rev) || (cause !== null && numbered.has(cause));
  const untold = revocations.filter((one) => !isTold(one));
  return events.filter((event) => {
    const rev = revOf(event);
    if (rev !== undefined) return revocations.some((one) => one.rev === rev || one.cause === rev);
    const at = Date.parse(event.leaf.at as string);
    return untold.some((one) => Math.abs(at - one.at) <= toldWithin);
  });
}

function revOf({ leaf }: OpenedEvent): number | undefined {
  const { changed } = (leaf.decided_on ?? {}) as { changed?: { rev?: number } };
  return changed?.rev;
}

/** Under what the events are found that tell who acknowledged them. Those of one moment share one, which names none of them. */
export const acknowledgedUnder = (revocations: readonly Ending[]): Partial<EventFilter> => ({
  types: ['revocation.acknowledged'],
  ...within(revocations, acknowledgedWithin),
});

/** Which acknowledgements are of these: each has a number, or the first and the last of many. */
export const acknowledging = (revocations: readonly Ending[], events: readonly OpenedEvent[]): OpenedEvent[] =>
  events.filter((event) => acknowledges(revocations, event));

function acknowledges(revocations: readonly Ending[], { leaf }: OpenedEvent): boolean {
  const { rev, revs } = (leaf.decided_on ?? {}) as { rev?: unknown; revs?: unknown };
  const [first, last] = Array.isArray(revs) ? [revs[0], revs.at(-1)] : [rev, rev];
  if (typeof first !== 'number' || typeof last !== 'number') return false;
  return revocations.some((one) => one.rev >= first && one.rev <= last);
}

const within = (revocations: readonly Ending[], ms: number) => ({
  since: Math.min(...revocations.map(({ at }) => at)) - toldWithin,
  until: Math.max(...revocations.map(({ at }) => at)) + ms + 1,
});
