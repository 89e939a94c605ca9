/** Events as one reads them: one line each, and stories. */
import type { Api } from './api.ts';
import type { Context } from './command.ts';
import { namer } from './names.ts';
import { painter, printable } from './output.ts';
import type { Agent, Event, Resource, Role, Team } from './registry.ts';

/**
 * Why it was refused, or what somebody gave as the reason: that is personal, and may have been erased. A guard that could say no more says a code, and
 * how often where it sums up.
 */
export function reasonOf({ reason, personal, decided_on = {} }: Event): string {
  const { counts, causes, code } = decided_on as { counts?: Counts; causes?: Counts; code?: string };
  const lost = causes === undefined ? '' : ` (${counted(causes)})`;
  return reason ?? personal.details?.reason ?? (counts === undefined ? (code ?? '') : counted(counts) + lost);
}

type Counts = Readonly<Record<string, number>>;
const counted = (counts: Counts): string =>
  Object.entries(counts)
    .map(([what, count]) => `${count} ${what.replaceAll('_', ' ')}`)
    .join(', ');

/** When it happened: a use is told of by a guard afterwards. The log has it where it was told. RFC 3339. */
export function happenedAt({ at, decided_on }: Pick<Event, 'at' | 'decided_on'>): string {
  const { used_at } = (decided_on ?? {}) as { used_at?: number };
  return used_at === undefined ? at : new Date(used_at).toISOString();
}

/** A page as it happened, oldest first; what happened at once stays as it was. */
export const asItHappened = (events: readonly Event[]): Event[] =>
  events.toSorted((a, b) => Date.parse(happenedAt(a)) - Date.parse(happenedAt(b)));

/** Says that it was told of later, where that shows. */
export const toldLater = (event: Event): string =>
  event.at.slice(0, 19) === happenedAt(event).slice(0, 19) ? '' : `reported ${event.at.slice(11, 19)}Z`;

/**
 * What the things are called that events name. Whoever may read the log and nothing else is told the names of agents with the events; what else there
 * is isn't asked for in vain: each refusal would be an event.
 */
export async function eventNamer(
  api: Api,
  names: Readonly<Record<string, string>> = {},
): Promise<(id: string) => string> {
  const some = async (noun: string) =>
    (await api.may(`${noun}:read`)) ? api.list<Agent | Resource | Role | Team>(`/${noun}`) : [];
  const nameOf = namer(await some('agents'), await some('resources'), await some('roles'), await some('teams'));
  return (id) => names[id] ?? nameOf(id);
}

/** `09:00:05  ✓ token.issued       desk → https://api.example.com  role reader`; in colour on a terminal. */
export function eventLine(context: Context, event: Event, nameOf: (id: string) => string): string {
  const paint = painter(context.io);
  const { outcome, type, agent, target, resource } = event;
  const { operation } = (event.decided_on ?? {}) as { operation?: string };
  const refused = outcome === 'refused';
  const when = happenedAt(event).replace('T', ' ').slice(0, 19);
  const to = target !== undefined ? nameOf(target) : resource;
  const who = [agent && nameOf(agent), to].filter((one) => one !== undefined).join(' → ');
  const rest = [operation, reasonOf(event), toldLater(event)]
    .filter((one) => one !== undefined && one !== '')
    .join(': ');
  return [
    paint('dim', `${when}Z`),
    `${paint(refused ? 'red' : 'green', refused ? '✗' : '✓')} ${type.padEnd(18)}`,
    paint('bold', printable(who)),
    ...(rest === '' ? [] : [paint(refused ? 'yellow' : 'dim', printable(rest))]),
  ].join('  ');
}
