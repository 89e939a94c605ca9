/** Events that a test makes up, and what a search finds of them, page after page. */
import assert from 'node:assert/strict';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import { type EventFilter, type Order, searchEvents } from '../log/search.ts';
import type { TestServer } from './harness.ts';

/** Under the key of its owner. Answers its id. */
export async function append(deps: Deps, event: AuditEvent): Promise<string> {
  const sealing = await sealingFor(deps, 1, event.personal.owner as string);
  return deps.db.settle((tx) => appendEvent(tx, deps, sealing, event));
}

/** Ids of all that fits, by pages of this size. */
export async function idsOf(deps: Deps, filter: EventFilter, order: Order, limit: number): Promise<string[]> {
  const ids: string[] = [];
  let position: number | undefined;
  do {
    const { events, next } = await searchEvents(deps, filter, { order, limit, after: position });
    assert.ok(events.length <= limit);
    ids.push(...events.map(({ id }) => id));
    position = next;
  } while (position !== undefined);
  return ids;
}

/** These events are made up: the vocabulary has nothing to say about them. */
export const forget = (server: TestServer) => server.deps.db.settle((tx) => tx.run('delete from events'));
