/**
 * What comes in masses, and what is told one by one. A life may have ten million uses and a dozen turns: the turns are found by entries of their own in
 * the index, and the masses can be counted there without being read.
 */
import type { EventType } from '../audit/event.ts';

type Leaf = Readonly<Record<string, unknown>>;

/** What somebody does as their work. */
const deeds: ReadonlySet<string> = new Set<EventType>([
  'access.evaluated',
  'access.searched',
  'access.unproven',
  'access.unreported',
  'access.used',
  'admin.refused',
  'instance.refused',
  'mandate.refused',
  'task.refused',
  'token.dead_presented',
  'token.issued',
  'token.presented_outside',
  'token.refused',
]);

/** What makes and ends things that come in masses: a turn in their life, and daily work of whoever has them. */
const passing: ReadonlySet<string> = new Set<EventType>([
  'instance.ended',
  'instance.enrolled',
  'instance.renewed',
  'task.ended',
  'task.finished',
  'task.opened',
  'task.started',
]);

/** All of both, as they are counted. */
export const actTypes = [...deeds, ...passing] as readonly EventType[];

/** Whether it is told together with others of its kind. */
export const isAct = (type: unknown): boolean => deeds.has(type as string) || passing.has(type as string);

/** Whether it may be a turn in a life. */
export const mayBeTurn = (type: unknown): boolean => !deeds.has(type as string);

/** In whose life this is a turn. @param named ids that stand in the event */
export function turnOf({ type, agent, target }: Leaf, named: Iterable<string>): Set<string> {
  const found = deeds.has(type as string) ? [] : passing.has(type as string) ? [target] : [agent, target, ...named];
  return new Set(found.filter((id) => typeof id === 'string'));
}

/** How many of these somebody did: the value of the entry under which they are counted. */
export const deedOf = (agent: string, type: string, outcome: string): string => `${agent} ${type} ${outcome}`;
