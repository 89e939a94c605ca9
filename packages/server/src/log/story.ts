/**
 * One story from first to last: what led to a token, a task or a request, what came of it, and how it ended. It is put together from a handful of
 * searches, each within what whoever asks may see, and each of a bounded number of rows: of a long story the beginning and the end are read, turns in
 * the life are found by entries of their own, and what lies between is counted.
 */
import type { OpenedEvent } from '../audit/audit.ts';
import type { EventType } from '../audit/event.ts';
import { issueEventId } from '../lib/ids.ts';
import { counted } from './counted.ts';
import { acknowledgedUnder, acknowledging, endingsOf, tellingOf, toldUnder } from './ending.ts';
import { aboutToken, type EventFilter } from './filter.ts';
import type { IndexDeps } from './indexer.ts';
import { eventOf, type Order, searchEvents } from './search.ts';
import type { Stretch } from './search-store.ts';
import { happenedAt, type Step, stepsOf } from './steps.ts';
import type { TermValue } from './terms.ts';

/** What a story is about. */
export interface StoryOf {
  kind: 'token' | 'task' | 'agent' | 'trace' | 'thing';
  id: string;
}

/** How it is to be told. Times are in milliseconds, as in `EventFilter`. */
export interface Telling {
  since?: number | undefined;
  until?: number | undefined;
  /** Each event by itself, and more of them. */
  every?: boolean | undefined;
}

export interface Story {
  of: StoryOf;
  /** As it happened. */
  steps: Step[];
  /** When tokens were ended before their time, by `jti` (ms). */
  ends: ReadonlyMap<string, number>;
  /** There is more of it than is told. */
  more: boolean;
}

/** How many events are read from either end, of all and of those that are turns in a life. */
const eventsOfEnd = 400;
const eventsOfEndEach = 1_000;
const turnsOfEnd = 100;
/** Of what belongs to a story beside that: events, and how many of its subjects are looked up. */
const besideAtMost = 500;
const subjectsAtMost = 60;
const tokensAtMost = 30;
/** A token is exchanged for others, and these for others: chains and transactions have an end. */
const generationsAtMost = 12;
const pagesAtMost = 6;
const pageOf = 400;

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
  'mandate.ended',
  'mandate.narrowed',
  'mandate.paused',
  'mandate.resumed',
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
  { since, until, every = false }: Telling = {},
): Promise<Story> {
  const told = new Map<string, OpenedEvent>();
  const keep = (events: readonly OpenedEvent[]) => {
    for (const event of events) told.set(event.id, event);
  };
  const core = { ...coreOf(of), ...reach, since, until };
  const ends = await readEnds(deps, core, every ? eventsOfEndEach : eventsOfEnd);
  keep(ends.events);
  let more = false;
  if (ends.between && of.kind !== 'trace') {
    const turns = await readEnds(deps, { any: [['turn', of.id]], ...reach, since, until }, turnsOfEnd);
    keep(turns.events);
    more = turns.between !== undefined;
  }
  if (told.size === 0) return { of, steps: [], ends: new Map(), more };
  // what is counted isn't looked at: for whoever may see the events of one owner alone it may be of others
  const isCounted = ends.between && reach.ownedBy === undefined;
  const agent = of.kind === 'agent' ? of.id : undefined;
  const masses = isCounted ? await counted(deps, core, agent, ends.between as Stretch, [...told.values()]) : [];
  more ||= ends.between !== undefined && !isCounted;

  let room = besideAtMost;
  const add = async (
    filter: Partial<EventFilter>,
    order: Order = 'oldest',
    those: (found: readonly OpenedEvent[]) => readonly OpenedEvent[] = (found) => found,
  ) => {
    const found = await readAll(deps, { ...filter, ...reach }, order, room);
    room -= found.events.length;
    keep(those(found.events));
    more ||= found.next !== undefined;
  };
  if (of.kind === 'token') {
    const own = told.get(issueEventId(of.id));
    await addOffspring();
    keep(await originsOf(deps, reach, own));
  } else if (of.kind !== 'agent') {
    const { tokens } = subjectsOf(of, [...told.values()]);
    if (tokens.length > 0) await add({ any: tokens.flatMap(aboutToken) });
  }
  /** What was about the tokens that came of the one that is asked for, generation by generation. */
  async function addOffspring() {
    const known = new Set([of.id]);
    for (let generation = 0; generation < generationsAtMost; generation += 1) {
      const { tokens } = subjectsOf(of, [...told.values()]);
      const fresh = tokens.filter((jti) => !known.has(jti));
      if (fresh.length === 0) return;
      for (const jti of fresh) known.add(jti);
      await add({ any: fresh.flatMap((jti): TermValue[] => [...aboutToken(jti), ['origin', jti]]) });
    }
  }
  const { things } = subjectsOf(of, [...told.values()]);
  const targets = things.map((id): TermValue => ['target', id]);
  if (targets.length > 0) {
    await add({ any: targets, types: beginnings });
    const times = [...told.values()].filter(isMiddle).map(happenedAt);
    // what was stopped before it began, or after all of it was over, is another story
    const from = Math.min(...times);
    const to = Math.max(...times, ...[...told.values()].map(endOf)) + 60_000;
    if (of.kind === 'agent' || of.kind === 'thing') await add({ any: targets, types: turns, since, until }, 'newest');
    else if (times.length > 0) await add({ any: targets, types: turns, since: from, until: to });
  }
  const endings = await endingsOf(deps.db, [...told.values()].filter(isIssue).slice(0, tokensAtMost));
  if (endings.revocations.length > 0) {
    const { revocations } = endings;
    await add(toldUnder(revocations), 'oldest', (found) => tellingOf(revocations, found));
    await add(acknowledgedUnder(revocations), 'oldest', (found) => acknowledging(revocations, found));
  }
  const steps = [...stepsOf([...told.values()], every), ...masses].toSorted((a, b) => a.at - b.at);
  return { of, steps, ends: endings.at, more };
}

function coreOf({ kind, id }: StoryOf): Partial<EventFilter> {
  switch (kind) {
    case 'token':
      return { origin: id };
    case 'task':
      return { task: id };
    case 'trace':
      return { trace: id };
    default:
      return { about: id };
  }
}

/** The issue of each token that led to this one, as far as whoever asks may see. */
async function originsOf(
  deps: IndexDeps,
  reach: Pick<EventFilter, 'org' | 'ownedBy'>,
  issue: OpenedEvent | undefined,
): Promise<OpenedEvent[]> {
  const found: OpenedEvent[] = [];
  for (let last = issue; last && found.length < generationsAtMost; last = found.at(-1)) {
    const { subject_token: origin } = last.leaf.decided_on as { subject_token?: string };
    const event = origin === undefined ? undefined : await eventOf(deps, reach, issueEventId(origin));
    if (!event) break;
    found.push(event);
  }
  return found;
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

/** The oldest and the newest of what fits, and what of the log lies between them unread. */
async function readEnds(
  deps: IndexDeps,
  filter: EventFilter,
  each: number,
): Promise<{ events: OpenedEvent[]; between?: Stretch }> {
  const oldest = await readAll(deps, filter, 'oldest', each);
  if (oldest.next === undefined) return { events: oldest.events };
  const newest = await readAll(deps, filter, 'newest', each);
  const between = { from: oldest.next + 1, to: (newest.next ?? 0) - 1 };
  return { events: [...oldest.events, ...newest.events], ...(between.from <= between.to && { between }) };
}

/** @returns `next`: up to where it was read, if there may be more */
async function readAll(
  deps: IndexDeps,
  filter: EventFilter,
  order: Order,
  atMost: number,
): Promise<{ events: OpenedEvent[]; next?: number }> {
  const events: OpenedEvent[] = [];
  let after: number | undefined;
  for (let page = 0; page < pagesAtMost && events.length < atMost; page += 1) {
    const found = await searchEvents(deps, filter, { order, limit: Math.min(pageOf, atMost - events.length), after });
    events.push(...found.events);
    if (found.next === undefined) return { events };
    after = found.next;
  }
  return { events, next: after ?? 0 };
}
