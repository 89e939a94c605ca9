import { z } from 'zod';
import { caughtUp } from '../log/indexer.ts';
import { type EventFilter, searchEvents } from '../log/search.ts';
import type { Database } from '../store/database.ts';
import { outsideOf, tokenEnded } from '../tokens/introspect.ts';
import { openPosition, sealPosition } from '../web/position-cursor.ts';
import { Problem } from '../web/problem.ts';
import { eventFilters, filterOf, logReach } from './event-query.ts';
import { shownEvent } from './events.ts';
import { type Call, follow } from './route.ts';

/** How often one looks for what is new, and how long nothing may be said (ms). */
const lookEvery = 500;
const silenceAtMost = 15_000;
const atOnce = 50;

/** How many tails one agent, and everybody, may have at one node. */
const tailsAtMost = { agent: 8, all: 64 } as const;
const underWay = new WeakMap<Database, Map<string, number>>();

/** By agent. */
function tailsOf(db: Database): Map<string, number> {
  const known = underWay.get(db) ?? new Map<string, number>();
  underWay.set(db, known);
  return known;
}

export const eventTailRoutes = [
  follow({
    id: 'tailEvents',
    path: '/events/tail',
    summary: 'Follow the log as it grows',
    description:
      'Server-sent events, one for each event of the log from now on, in the order of their arrival. Each has an `id`: sent as `Last-Event-ID`, with the same filters, ' +
      'the stream goes on behind it. It ends when the token does, or is revoked; get another one and go on. With `events:own` as in listEvents.',
    scopes: ['events:read'],
    orScope: 'events:own',
    query: z.strictObject(eventFilters),
    async handler(call, { query }) {
      const filter = await filterOf(call, query);
      mayBegin(call);
      const about = ['tail', filter];
      const after = openPosition(call.deps, about, call.lastEventId, 'Last-Event-ID') ?? (await caughtUp(call.deps));
      return tail(call, filter, about, after);
    },
  }),
] as const;

/** @throws Problem 503 */
function mayBegin({ deps, caller }: Call): void {
  const tails = tailsOf(deps.db);
  const all = [...tails.values()].reduce((sum, each) => sum + each, 0);
  if ((tails.get(caller.agent) ?? 0) < tailsAtMost.agent && all < tailsAtMost.all) return;
  throw new Problem('unavailable', `there are too many streams at once: at most ${tailsAtMost.agent} of one agent`, {
    headers: { 'retry-after': '30' },
  });
}

async function* tail(call: Call, filter: EventFilter, about: unknown, from: number): AsyncGenerator<string, void> {
  const { deps } = call;
  const { agent } = call.caller;
  const tails = tailsOf(deps.db);
  tails.set(agent, (tails.get(agent) ?? 0) + 1);
  try {
    let position = from;
    let said = Number.NEGATIVE_INFINITY;
    for (;;) {
      const { events, next, upTo } = await searchEvents(deps, filter, {
        order: 'oldest',
        limit: atOnce,
        after: position,
      });
      // looked at behind the search: what came after the token had ended isn't shown
      const end = await endOf(call, filter);
      if (end !== undefined) {
        yield `event: end\ndata: ${JSON.stringify({ reason: end })}\n\n`;
        return;
      }
      position = next ?? Math.max(position, upTo);
      let text = '';
      for (const event of events) {
        const id = sealPosition(deps, about, event.arrival);
        text += `id: ${id}\ndata: ${JSON.stringify(shownEvent(event, filter))}\n\n`;
      }
      const now = deps.clock.monotonic();
      if (text === '' && now - said >= silenceAtMost)
        text = `: still here\nid: ${sealPosition(deps, about, position)}\n\n`;
      if (text !== '') {
        said = now;
        yield text;
      }
      if (next === undefined) await new Promise<void>((resolve) => deps.clock.after(lookEvery, resolve));
    }
  } finally {
    const left = (tails.get(agent) ?? 1) - 1;
    if (left > 0) tails.set(agent, left);
    else tails.delete(agent);
  }
}

/** Why it doesn't go on, if it doesn't. */
async function endOf(call: Call, { ownedBy }: EventFilter): Promise<string | undefined> {
  const { deps, caller } = call;
  const { claims, kid, address } = caller;
  const isOver = claims.exp * 1000 <= deps.clock.now() || outsideOf(deps, claims, address) !== undefined;
  if (isOver || (await tokenEnded(deps.db, claims, kid))) return 'the token has ended';
  // a change of owner ends no token
  if (ownedBy !== undefined && (await logReach(call)).ownedBy !== ownedBy) return 'somebody else answers for you now';
  return undefined;
}
