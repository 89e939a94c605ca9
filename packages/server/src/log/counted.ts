/** What of a long story isn't read, but counted: by entries of the index, between one turn and the next. */
import type { OpenedEvent } from '../audit/audit.ts';
import type { EventType } from '../audit/event.ts';
import { typeOfEvent } from '../audit/vocabulary.ts';
import { actTypes, deedOf, isAct } from './acts.ts';
import { type EventFilter, groupsOf, termsOfGroup } from './filter.ts';
import type { IndexDeps } from './indexer.ts';
import { density, firstIn, lookThrough, type Places, type Stretch } from './search-store.ts';
import { happenedAt, type Step } from './steps.ts';
import { openTerm } from './terms.ts';

/** Where counting ends: entries of one kind, entries that are looked up under another, and parts. */
const countedAtMost = 100_000;
const lookedUpAtMost = 5_000;
const partsAtMost = 8;

type Counts = Pick<Step, 'type' | 'count' | 'refused' | 'atLeast'>;

/**
 * Steps for what lies in a stretch of which nothing was read but turns.
 * @param core what the story is about: of nobody's reach, since what is counted isn't looked at
 * @param agent whose story it is: what they did is counted by type
 * @param told what was read, on either side of the stretch and within it
 */
export async function counted(
  { db, audit }: Pick<IndexDeps, 'db' | 'audit'>,
  core: EventFilter,
  agent: string | undefined,
  between: Stretch,
  told: readonly OpenedEvent[],
): Promise<Step[]> {
  const entries = (kind: 'outcome' | 'deed', value: string): Places => ({
    open: [openTerm(core.org, kind, value)],
    personal: [],
  });
  const byArrival = told.toSorted((a, b) => a.arrival - b.arrival);

  async function ofAgent(part: Stretch, deeds: readonly Deed[]): Promise<Counts[]> {
    const counts = new Map<EventType, Counts>();
    for (const { type, outcome, places } of deeds) {
      const { count } = await density(db, places, part, 'oldest', countedAtMost);
      const before = counts.get(type) ?? { type, count: 0, refused: 0, atLeast: false };
      counts.set(type, {
        type,
        count: before.count + count,
        refused: before.refused + (outcome === 'refused' ? count : 0),
        atLeast: before.atLeast || count === countedAtMost,
      });
    }
    return [...counts.values()];
  }

  async function ofOthers(part: Stretch): Promise<Counts[]> {
    const [group] = groupsOf(core);
    const driver = { ...termsOfGroup(audit.indexKey, core.org, group as never), eventId: group?.eventId };
    const rows = await lookThrough(db, driver, [entries('outcome', 'refused')], part, 'oldest', lookedUpAtMost);
    const refused = rows.filter(({ found }) => found).length;
    return [{ type: undefined, count: rows.length, refused, atLeast: rows.length === lookedUpAtMost }];
  }

  const deeds: Deed[] = [];
  if (agent !== undefined) {
    for (const type of actTypes) {
      for (const outcome of typeOfEvent(type).outcomes) {
        const places = entries('deed', deedOf(agent, type, outcome));
        if ((await firstIn(db, places, between, 'oldest')) !== undefined) deeds.push({ type, outcome, places });
      }
    }
  }
  const steps: Step[] = [];
  for (const part of partsOf(between, byArrival)) {
    const times = {
      at: happenedAt(byArrival.findLast(({ arrival }) => arrival < part.from) ?? (byArrival[0] as OpenedEvent)),
      until: happenedAt(byArrival.find(({ arrival }) => arrival > part.to) ?? (byArrival.at(-1) as OpenedEvent)),
    };
    for (const counts of agent === undefined ? await ofOthers(part) : await ofAgent(part, deeds)) {
      if (counts.count === 0) continue;
      steps.push({ ...counts, ...times, event: undefined, operations: new Map(), refusals: new Map() });
    }
  }
  return steps;
}

interface Deed {
  type: EventType;
  outcome: string;
  places: Places;
}

/** What lies between one turn and the next; where there are many turns, between some of them. */
function partsOf({ from, to }: Stretch, byArrival: readonly OpenedEvent[]): Stretch[] {
  const turns = byArrival.filter(({ arrival, leaf }) => arrival >= from && arrival <= to && !isAct(leaf.type));
  const each = Math.ceil((turns.length + 1) / partsAtMost);
  const ends = turns.filter((_, index) => index % each === each - 1).map(({ arrival }) => arrival);
  return [...ends, to + 1].map((end, index) => ({
    from: index === 0 ? from : (ends[index - 1] as number) + 1,
    to: end - 1,
  }));
}
