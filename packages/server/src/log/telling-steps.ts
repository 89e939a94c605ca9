/** Steps of a story in one sentence each: an event as `telling.ts` says it, or how often it was. */
import { type EventType, eventTypes } from '../audit/event.ts';
import { isInside } from './event-values.ts';
import type { Step } from './steps.ts';
import { type NameOf, told } from './telling.ts';

/** Names that are said of many. */
const namedAtMost = 4;

/** What somebody did so often, without a dot. @param so `480 times`; @param what `read 400, write 80` */
const sentences: Partial<Record<EventType, (by: string, so: string, at: string) => string>> = {
  'access.used': (by, so, at) => `${by} used it ${so}${at && ` at ${at}`}`,
  'access.evaluated': (by, so) => `${by} asked for a decision ${so}`,
  'token.issued': (by, so, at) => `${by} got a token ${so}${at && ` for ${at}`}`,
  'token.refused': (by, so, at) => `${by} asked for a token ${so}${at && ` for ${at}`}`,
  'token.dead_presented': (by, so, at) => `tokens of ${by} were presented ${so} after their end${at && ` at ${at}`}`,
  'admin.refused': (by, so) => `${by} asked for what it may not have ${so}`,
  'instance.enrolled': (by, so) => `an instance of ${by} enrolled ${so}`,
  'instance.renewed': (by, so) => `an instance of ${by} was given more time ${so}`,
  'instance.ended': (by, so) => `${by} ended an instance ${so}`,
  'task.opened': (by, so) => `${by} opened a task ${so}`,
  'task.started': (by, so) => `${by} began with a task ${so}`,
  'task.finished': (by, so) => `${by} finished a task ${so}`,
  'task.ended': (by, so) => `${by} ended a task ${so}`,
};

/** The same of transaction tokens. */
const insideSentences: typeof sentences = {
  'access.used': (by, so, at) => `transaction tokens of ${by} were used ${so}${at && ` at ${at}`}`,
  'token.issued': (by, so, at) => `${by} asked for a transaction token ${so}, called at ${at}`,
};

/**
 * @param nameOf what an id is called; what has no name stays an id
 * @param of whose story it is: who did what is only counted
 */
export function toldStep(step: Step, nameOf: NameOf, of: string): string {
  const { type, event, count, refused, atLeast } = step;
  if (event && count === 1) return told(event.leaf, nameOf);
  const so = `${atLeast ? 'more than ' : ''}${figure(count)} times`;
  const agent = event ? event.leaf.agent : of;
  const by = typeof agent === 'string' ? nameOf(agent) : 'the server';
  const at = typeof event?.leaf.resource === 'string' ? event.leaf.resource : '';
  const plain = type === undefined ? `${so.replace(' times', '')} more events` : undefined;
  const said =
    plain ??
    (event && isInside(event.leaf) ? insideSentences[type as EventType] : undefined)?.(by, so, at) ??
    sentences[type as EventType]?.(by, so, at) ??
    `${by}, ${so}: ${eventTypes[type as EventType].replace(/\.$/, '')}`;
  const what = counts(step.operations);
  return `${said}, until ${timeOf(step)}${what && `: ${what}`}${refusedOf(step, refused)}`;
}

function refusedOf({ count, refusals }: Step, refused: number): string {
  if (refused === 0) return '';
  const why = counts(refusals);
  return `; ${refused === count ? 'all' : figure(refused)} refused${why && `: ${why}`}`;
}

/** The most frequent of them, each with how often unless it was the only one. */
function counts(of: ReadonlyMap<string, number>): string {
  const all = [...of].sort(([, a], [, b]) => b - a);
  const shown = all
    .slice(0, namedAtMost)
    .map(([name, count]) => (all.length === 1 ? name : `${name} (${figure(count)})`));
  return [...shown, ...(all.length > shown.length ? [`${all.length - shown.length} more`] : [])].join(', ');
}

const figure = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',');

/** When the last of them was: the day too, where it isn't that of the first. UTC. */
function timeOf({ at, until }: Step): string {
  const [first, last] = [new Date(at).toISOString(), new Date(until).toISOString()];
  return first.slice(0, 10) === last.slice(0, 10) ? last.slice(11, 19) : `${last.slice(0, 19)}Z`;
}
