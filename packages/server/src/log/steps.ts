/**
 * The steps of a story: events as they happened, and where there are many, like ones in one step. What is a turn in a life always stands by itself, and
 * nothing is told together across it.
 */
import type { OpenedEvent } from '../audit/audit.ts';
import type { EventType } from '../audit/event.ts';
import { isAct } from './acts.ts';
import { isInside } from './event-values.ts';

/** One event, or several that are alike. */
export interface Step {
  /** Undefined where events of all types are counted. */
  type: EventType | undefined;
  /** When it happened, or the first of them did (ms). */
  at: number;
  /** When the last of them did (ms). */
  until: number;
  /** The first of them; undefined where they were counted, not read. */
  event: OpenedEvent | undefined;
  count: number;
  /** How many of them were refused. */
  refused: number;
  /** There are more: counting ended there. */
  atLeast: boolean;
  /** What was done at the resource, how often each. */
  operations: ReadonlyMap<string, number>;
  /** Why, how often each. */
  refusals: ReadonlyMap<string, number>;
}

/** A story of so few acts tells each. */
const toldEach = 40;
/** So many steps can be read: where uses of each token come to more, tokens are told together, too. */
const readable = 150;

/** When it happened: a guard tells of a use afterwards. Milliseconds. */
export function happenedAt({ leaf }: Pick<OpenedEvent, 'leaf'>): number {
  const { used_at } = (leaf.decided_on ?? {}) as { used_at?: unknown };
  return typeof used_at === 'number' ? used_at : Date.parse(leaf.at as string);
}

/** @param every whether each event is told by itself */
export function stepsOf(events: readonly OpenedEvent[], every: boolean): Step[] {
  const inOrder = events
    .map((event) => ({ event, at: happenedAt(event) }))
    .sort((a, b) => a.at - b.at || a.event.arrival - b.event.arrival)
    .map(({ event }) => event);
  if (every || inOrder.filter(({ leaf }) => isAct(leaf.type)).length <= toldEach) return inOrder.map(stepOf);
  const byToken = folded(inOrder, ({ id, leaf }) => (leaf.type === 'token.issued' ? id : leaf.jti));
  return byToken.length <= readable ? byToken : folded(inOrder, () => '');
}

/** Like acts between two turns become one step, which stands where the first of them was. */
function folded(events: readonly OpenedEvent[], apart: (event: OpenedEvent) => unknown): Step[] {
  const steps: Step[] = [];
  const open = new Map<string, Step>();
  for (const event of events) {
    const { leaf } = event;
    const step = stepOf(event);
    if (!isAct(leaf.type)) open.clear();
    const key = JSON.stringify([leaf.type, leaf.agent, leaf.resource, isInside(leaf), apart(event)]);
    const known = isAct(leaf.type) ? open.get(key) : undefined;
    if (known) {
      Object.assign(known, {
        until: Math.max(known.until, step.until),
        count: known.count + 1,
        refused: known.refused + step.refused,
        operations: sum(known.operations, step.operations),
        refusals: sum(known.refusals, step.refusals),
      });
    } else {
      steps.push(step);
      open.set(key, step);
    }
  }
  return steps;
}

function stepOf(event: OpenedEvent): Step {
  const { type, outcome, reason, decided_on } = event.leaf;
  const { operation } = (decided_on ?? {}) as { operation?: unknown };
  const at = happenedAt(event);
  const isRefused = outcome === 'refused';
  return {
    type: type as EventType,
    at,
    until: at,
    event,
    count: 1,
    refused: isRefused ? 1 : 0,
    atLeast: false,
    operations: once(operation),
    refusals: once(isRefused ? reason : undefined),
  };
}

const once = (text: unknown) => new Map(typeof text === 'string' ? [[text, 1]] : []);

function sum(one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const all = new Map(one);
  for (const [name, count] of other) all.set(name, (all.get(name) ?? 0) + count);
  return all;
}
