import { z } from 'zod';
import type { ReadEvent } from '../audit/audit.ts';
import { rfc3339 } from '../lib/clock.ts';
import { spansOf } from '../log/spans.ts';
import { storyOf, tellStory } from '../log/story.ts';
import type { NameOf } from '../log/telling.ts';
import { toldStep } from '../log/telling-steps.ts';
import { findResource } from '../resources/store.ts';
import { notFound } from '../web/problem.ts';
import { logReach } from './event-query.ts';
import { agentNamesSchema, namesOfAgents, shownEvent, shownEventSchema } from './events.ts';
import { line, oneOf, shownTime, time } from './fields.ts';
import { type Call, read } from './route.ts';

const query = z.strictObject({
  of: line(200, 1).meta({
    description:
      'A token (`jti`), a transaction (`txn`), a task, an agent, a trace id (W3C Trace Context), or the id of anything else.',
  }),
  since: time.optional().meta({ description: 'What it did, and what was done to it, at this time or later.' }),
  until: time.optional().meta({ description: 'The same, before this time.' }),
  every: oneOf(['true', 'false'])
    .default('false')
    .meta({ description: 'Each event by itself, however many are alike: 1,000 from either end.' }),
});

const about =
  'From registration, enrolment and task through tokens, decisions and uses to revocations and their acknowledgement, as it happened. Where there are many, ' +
  'like acts between two turns are one step with a count: uses of one token, or of many. Of a long story the first and the last 400 events are read, turns ' +
  'wherever they are, and the rest is counted; `since` and `until` look closer. With `events:own` as in listEvents, and what isn’t read isn’t counted.';

export const traceRoutes = [
  read({
    id: 'traceStory',
    path: '/trace',
    summary: 'Read one story from first to last',
    description: about,
    scopes: ['events:read'],
    orScope: 'events:own',
    query,
    response: z.strictObject({
      of: z.strictObject({ kind: oneOf(['token', 'task', 'agent', 'trace', 'thing']), id: z.string() }),
      items: z.array(
        z.strictObject({
          at: shownTime.meta({ description: 'When it happened: a guard tells of a use afterwards.' }),
          until: shownTime.optional().meta({ description: 'When the last of several did.' }),
          says: z.string().meta({ description: 'What happened, in a sentence.' }),
          count: z.int().optional().meta({ description: 'How many events it is, if it is several.' }),
          refused: z.int().optional().meta({ description: 'How many of them were refused.' }),
          at_least: z.literal(true).optional().meta({ description: 'There are more: counting ended there.' }),
          event: shownEventSchema
            .optional()
            .meta({ description: 'What the log has, of several the first; absent where they were only counted.' }),
        }),
      ),
      names: agentNamesSchema,
      more: z.boolean().meta({ description: 'There is more of it than is told here.' }),
    }),
    async handler(call, { query: asked }) {
      const { story, reach, named, nameOf } = await storyIn(call, asked);
      const items = story.steps.map((step) => {
        const { at, until, event, count, refused, atLeast } = step;
        return {
          at: rfc3339(at),
          ...(count !== 1 && { until: rfc3339(until) }),
          says: toldStep(step, nameOf, story.of.id),
          ...(count !== 1 && { count, refused }),
          ...(atLeast && { at_least: true as const }),
          ...(event && { event: shownEvent(event, reach) }),
        };
      });
      return { of: story.of, items, names: Object.fromEntries(named), more: story.more };
    },
  }),
  read({
    id: 'traceSpans',
    path: '/trace/spans',
    summary: 'Read one story as OpenTelemetry spans',
    description: `OTLP/JSON: send it to \`/v1/traces\` of a collector as it is. ${about}`,
    scopes: ['events:read'],
    orScope: 'events:own',
    query,
    response: z.strictObject({ resourceSpans: z.array(z.looseObject({})) }),
    async handler(call, { query: asked }) {
      const { story, nameOf } = await storyIn(call, asked);
      return { ...spansOf(story, call.deps.config.issuer, nameOf) };
    },
  }),
] as const;

/** @throws Problem 404, the same for what never was and what the caller may not see */
async function storyIn(call: Call, { of: text, since, until, every }: z.output<typeof query>) {
  const of = storyOf(text);
  const reach = await logReach(call);
  const story = await tellStory(call.deps, reach, of, {
    since: since === undefined ? undefined : Date.parse(since),
    until: until === undefined ? undefined : Date.parse(until),
    every: every === 'true',
  });
  if (story.steps.length === 0) throw notFound(of.kind === 'thing' ? 'event about' : of.kind, text);
  const events = story.steps.flatMap(({ event }) => event ?? []);
  const named = await namesOfAgents(call, events, of.kind === 'agent' ? [of.id] : []);
  const services = await resourcesNamed(call, events);
  const nameOf: NameOf = (id) => named.get(id) ?? services.get(id) ?? id;
  return { story, reach, named, nameOf };
}

/** The identifiers of the services that transaction tokens are for. */
async function resourcesNamed({ q }: Call, events: readonly Pick<ReadEvent, 'leaf'>[]): Promise<Map<string, string>> {
  const ids = events.flatMap(({ leaf }) => {
    const { transaction } = (leaf.decided_on ?? {}) as { transaction?: { resources: string[] } };
    return transaction?.resources ?? [];
  });
  const found = new Map<string, string>();
  for (const id of [...new Set(ids)].slice(0, 200)) {
    const resource = await findResource(q, id);
    if (resource) found.set(id, resource.identifier);
  }
  return found;
}
