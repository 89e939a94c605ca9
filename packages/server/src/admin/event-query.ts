/** What can be asked of the log: one set of filters for pages, the tail and stories. And how far whoever asks may see. */
import { z } from 'zod';
import { type EventType, eventTypes } from '../audit/event.ts';
import { didYouMeanHint } from '../lib/did-you-mean.ts';
import type { EventFilter } from '../log/search.ts';
import { wordsOf } from '../log/words.ts';
import { findResource } from '../resources/store.ts';
import { ownerOf } from '../web/own-api.ts';
import { badRequest } from '../web/problem.ts';
import { ownerId } from './agent.ts';
import { idOf, line, oneOf, time } from './fields.ts';
import type { Call } from './route.ts';

const typeNames = Object.keys(eventTypes) as EventType[];

const id = line(64, 1);

/** Every member of a query that narrows what is read. */
export const eventFilters = {
  type: line(2_000, 1).optional().meta({
    description: 'A type, or several, joined by commas: [all of them](events.md).',
  }),
  outcome: oneOf(['allowed', 'refused']).optional(),
  agent: idOf('agent').optional().meta({ description: 'Whose doing it was.' }),
  about: id.optional().meta({
    description: 'An id: of an agent for what it did and what was done to it; of anything else for where it stands.',
  }),
  target: id.optional().meta({ description: 'What it was done to: an id.' }),
  instance: idOf('instance')
    .optional()
    .meta({ description: 'Which running copy of an agent did it, or it was done to.' }),
  credential: idOf('credential')
    .optional()
    .meta({ description: 'By which credential it was done, or it was done to.' }),
  task: idOf('task').optional().meta({ description: 'Under which task it was done, or it was done to.' }),
  workflow: line(200, 1).optional().meta({ description: 'Of which workflow the task is.' }),
  resource: line(512, 1).optional().meta({ description: 'Id or identifier of the resource that was asked for.' }),
  operation: line(200, 1)
    .optional()
    .meta({ description: 'What was done at the resource, by the name of the operation.' }),
  jti: line(200, 1).optional().meta({ description: 'The token that it was about.' }),
  policy: line(200, 1).optional().meta({ description: 'By which policy, or statement as `policy/statement`.' }),
  trace: z
    .string()
    .regex(/^[0-9a-f]{32}$/, 'must be a trace id: 32 hexadecimal digits in small letters')
    .optional()
    .meta({ description: 'The trace id that the request came with (W3C Trace Context).' }),
  owner: ownerId.optional().meta({ description: 'Who answers for the agent whose doing it was.' }),
  person: idOf('person').optional().meta({ description: 'For whom it was done.' }),
  address: line(64, 1).optional().meta({ description: 'From which address.' }),
  text: line(200, 1).optional().meta({
    description: 'Words, all of which stand in what isn’t personal: type, reason, operation, names, error.',
  }),
  since: time.optional().meta({ description: 'At this time or later.' }),
  until: time.optional().meta({ description: 'Before this time.' }),
};

export type EventQuery = z.output<z.ZodObject<typeof eventFilters>>;

/** Which events the caller may see: everything of the organization, or what concerns the agents of their own owner. */
export async function logReach(
  call: Pick<Call, 'deps' | 'caller' | 'org'>,
): Promise<Pick<EventFilter, 'org' | 'ownedBy'>> {
  const { deps, caller, org } = call;
  if (caller.scopes.includes('events:read')) return { org: org.id };
  return { org: org.id, ownedBy: await ownerOf(deps, caller) };
}

/**
 * The filter that a query means, within the caller's reach.
 * @throws Problem 400 naming what is wrong
 */
export async function filterOf(call: Call, query: EventQuery): Promise<EventFilter> {
  const { type, since, until, resource, text, ...same } = query;
  if (text !== undefined && wordsOf([text]).length === 0 && !/\b[a-z]{3}_[0-9a-z]{26}\b/.test(text)) {
    throw badRequest([{ field: 'text', message: 'must have a word of two letters or digits, or more' }]);
  }
  return {
    ...same,
    ...(await logReach(call)),
    types: type === undefined ? undefined : typesOf(type),
    resource: await identifierOf(call, resource),
    text,
    since: since === undefined ? undefined : Date.parse(since),
    until: until === undefined ? undefined : Date.parse(until),
  };
}

function typesOf(text: string): string[] {
  const named = [...new Set(text.split(',').map((one) => one.trim()))].sort();
  const wrong = named.find((one) => !(typeNames as string[]).includes(one));
  if (wrong === undefined) return named;
  const hint = didYouMeanHint(wrong, typeNames);
  throw badRequest([
    { field: 'type', message: `must be types of events, joined by commas: there is no ${wrong}.${hint}` },
  ]);
}

/** The log names resources by their identifier, as they were called at the time. */
async function identifierOf({ q }: Call, reference: string | undefined): Promise<string | undefined> {
  if (!reference?.startsWith('res_')) return reference;
  return (await findResource(q, reference))?.identifier ?? reference;
}
