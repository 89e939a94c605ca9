/**
 * One story from first to last: what led to a token, a task or a request, what came of it, and how it ended. It is put together from a handful of
 * searches, each within what whoever asks may see.
 */
import type { OpenedEvent } from '../audit/audit.ts';
import type { EventType } from '../audit/event.ts';
import { acknowledgedUnder, acknowledging, endingsOf, tellingOf, toldUnder } from './ending.ts';
import type { EventFilter } from './filter.ts';
import type { IndexDeps } from './indexer.ts';
import { searchEvents } from './search.ts';
import type { TermValue } from './terms.ts';

/** What a story is about. */
export interface StoryOf {
  kind: 'token' | 'task' | 'agent' | 'trace' | 'thing';
  id: string;
}

export interface Story {
  of: StoryOf;
  /** As it happened. */
  events: OpenedEvent[];
  /** When tokens were ended before their time, by `jti` (ms). */
  ends: ReadonlyMap<string, number>;
  /** There is more of it than is told. */
  more: boolean;
}

/** What a story tells at most, and how many of its subjects are looked up. */
const eventsAtMost = 500;
const subjectsAtMost = 60;
const tokensAtMost = 30;
const pagesAtMost = 20;
const pageOf = 200;

/** How somebody came to be, and could act: told of whoever is in the story. */
const beginnings: readonly EventType[] = [
  'agent.created',
  'credential.created',
  'guard.created',
  'instance.enrolled',
  'operator.created',
  'role.granted',
  'task.opened',
];

/** What ends or narrows, and what others then did. */
const turns: readonly EventType[] = [
  'agent.resumed',
  'agent.retired',
  'agent.suspended',
  'credential.ended',
  'credential.rotated',
  'instance.ended',
  'instance.renewed',
  'key.revoked',
  'organization.resumed',
  'organization.suspended',
  'resource.retired',
  'revocation.acknowledged',
  'role.withdrawn',
  'signal.received',
  'task.ended',
  'task.finished',
  'task.started',
  'token.revoked',
];

/** What `text` is the name of: ids say it themselves, 32 hexadecimal digits are a trace, anything else is a token. */
export function storyOf(text: string): StoryOf {
  if (/^tsk_/.test(text)) return { kind: 'task', id: text };
  if (/^agt_/.test(text)) return { kind: 'agent', id: text };
  if (/^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$/.test(text)) return { kind: 'thing', id: text };
  if (/^[0-9a-f]{32}$/.test(text)) return { kind: 'trace', id: text };
  return { kind: 'token', id: text };
}

/** @param reach how far whoever asks may see */
export async function tellStory(
  deps: IndexDeps,
  reach: Pick<EventFilter, 'org' | 'ownedBy'>,
  of: StoryOf,
): Promise<Story> {
  const told = new Map<string, OpenedEvent>();
  let more = false;
  const add = async (
    filter: Partial<EventFilter>,
    order: 'newest' | 'oldest' = 'oldest',
    those: (found: readonly OpenedEvent[]) => readonly OpenedEvent[] = (found) => found,
  ) => {
    const room = Math.max(0, eventsAtMost - told.size);
    const found = await readAll(deps, { ...filter, ...reach }, order, room);
    for (const event of those(found.events)) told.set(event.id, event);
    more ||= found.more;
  };
  await add(coreOf(of), of.kind === 'agent' || of.kind === 'thing' ? 'newest' : 'oldest');
  if (told.size === 0) return { of, events: [], ends: new Map(), more };
  const { tokens } = subjectsOf(of, [...told.values()]);
  if (tokens.length > 0 && of.kind !== 'token') {
    await add({
      any: tokens.flatMap((jti): TermValue[] => [
        ['jti', jti],
        ['target', jti],
      ]),
    });
  }
  const { things } = subjectsOf(of, [...told.values()]);
  const targets = things.map((id): TermValue => ['target', id]);
  if (targets.length > 0) {
    await add({ any: targets, types: beginnings });
    const times = [...told.values()].filter(isMiddle).map(happenedAt);
    // what was stopped before it began, or after all of it was over, is another story
    const since = Math.min(...times);
    const until = Math.max(...times, ...[...told.values()].map(endOf)) + 60_000;
    if (of.kind === 'agent' || of.kind === 'thing') await add({ any: targets, types: turns }, 'newest');
    else if (times.length > 0) await add({ any: targets, types: turns, since, until });
  }
  const endings = await endingsOf(deps.db, [...told.values()].filter(isIssue).slice(0, tokensAtMost));
  if (endings.revocations.length > 0) {
    const { revocations } = endings;
    await add(toldUnder(revocations), 'oldest', (found) => tellingOf(revocations, found));
    await add(acknowledgedUnder(revocations), 'oldest', (found) => acknowledging(revocations, found));
  }
  const events = [...told.values()].toSorted((a, b) => happenedAt(a) - happenedAt(b) || a.arrival - b.arrival);
  return { of, events, ends: endings.at, more };
}

/** When it happened: a guard tells of a use afterwards. Milliseconds. */
export function happenedAt({ leaf }: Pick<OpenedEvent, 'leaf'>): number {
  const { used_at } = (leaf.decided_on ?? {}) as { used_at?: unknown };
  return typeof used_at === 'number' ? used_at : Date.parse(leaf.at as string);
}

function coreOf({ kind, id }: StoryOf): Partial<EventFilter> {
  switch (kind) {
    case 'token':
      return { jti: id };
    case 'task':
      return { task: id };
    case 'trace':
      return { trace: id };
    default:
      return { about: id };
  }
}

const isIssue = ({ leaf }: OpenedEvent) => leaf.type === 'token.issued';
const isMiddle = ({ leaf }: OpenedEvent) => !beginnings.includes(leaf.type as EventType) || leaf.type === 'task.opened';

/** Until when something of this event may live (ms). */
function endOf({ leaf }: OpenedEvent): number {
  const { expires_at } = (leaf.decided_on ?? {}) as { expires_at?: unknown };
  return typeof expires_at === 'number' && leaf.type === 'token.issued' ? expires_at : Number.NEGATIVE_INFINITY;
}

/** Who and what is in a story, each once: whose beginnings belong to it. */
function subjectsOf(of: StoryOf, events: readonly OpenedEvent[]): { tokens: string[]; things: string[] } {
  const tokens = new Set<string>();
  const things = new Set<string>();
  if (of.kind === 'token') tokens.add(of.id);
  for (const { leaf } of events) {
    const on = (leaf.decided_on ?? {}) as Record<string, unknown>;
    const { credential } = (on.client ?? {}) as { credential?: unknown };
    const isAct = leaf.type === 'token.issued' || leaf.type === 'token.refused' || leaf.type === 'access.used';
    if (leaf.type === 'token.issued') tokens.add(leaf.jti as string);
    for (const id of isAct ? [leaf.agent, leaf.instance, credential, on.task, on.resource_id, leaf.jti] : [])
      things.add(id as string);
    if (leaf.type === 'task.opened') for (const id of [leaf.target, on.for, leaf.agent]) things.add(id as string);
  }
  if (of.kind !== 'trace') things.add(of.id);
  things.delete(undefined as unknown as string);
  return { tokens: [...tokens].slice(0, tokensAtMost), things: [...things].slice(0, subjectsAtMost) };
}

async function readAll(
  deps: IndexDeps,
  filter: EventFilter,
  order: 'newest' | 'oldest',
  atMost: number,
): Promise<{ events: OpenedEvent[]; more: boolean }> {
  const events: OpenedEvent[] = [];
  let after: number | undefined;
  for (let page = 0; page < pagesAtMost; page += 1) {
    if (events.length >= atMost) return { events, more: true };
    const found = await searchEvents(deps, filter, { order, limit: Math.min(pageOf, atMost - events.length), after });
    events.push(...found.events);
    if (found.next === undefined) return { events, more: false };
    after = found.next;
  }
  return { events, more: true };
}
