import { z } from 'zod';
import { agentNames } from '../agents/store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { spansOf } from '../log/spans.ts';
import { happenedAt, type Story, storyOf, tellStory } from '../log/story.ts';
import { type NameOf, told } from '../log/telling.ts';
import { notFound } from '../web/problem.ts';
import { logReach } from './event-query.ts';
import { shownEvent, shownEventSchema } from './events.ts';
import { line, oneOf, shownTime } from './fields.ts';
import { type Call, read } from './route.ts';

const query = z.strictObject({
  of: line(200, 1).meta({
    description: 'A token (`jti`), a task, an agent, a trace id (W3C Trace Context), or the id of anything else.',
  }),
});

const about =
  'From registration, enrolment and task through tokens, decisions and uses to revocations and their acknowledgement, as it happened: at most 500 ' +
  'events. With `events:own` as in listEvents.';

const names = z
  .record(z.string(), z.string())
  .meta({ description: 'What the agents that are named in it are called.' });

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
          says: z.string().meta({ description: 'What happened, in a sentence.' }),
          event: shownEventSchema,
        }),
      ),
      names,
      more: z.boolean().meta({ description: 'There is more of it than is told here.' }),
    }),
    async handler(call, { query: { of } }) {
      const { story, reach, named, nameOf } = await storyIn(call, of);
      const items = story.events.map((event) => ({
        at: rfc3339(happenedAt(event)),
        says: told(event.leaf, nameOf),
        event: shownEvent(event, reach),
      }));
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
    async handler(call, { query: { of } }) {
      const { story, nameOf } = await storyIn(call, of);
      return { ...spansOf(story, call.deps.config.issuer, nameOf) };
    },
  }),
] as const;

/** @throws Problem 404, the same for what never was and what the caller may not see */
async function storyIn(call: Call, text: string) {
  const of = storyOf(text);
  const reach = await logReach(call);
  const story = await tellStory(call.deps, reach, of);
  if (story.events.length === 0) throw notFound(of.kind === 'thing' ? 'event about' : of.kind, text);
  const named = await agentNames(call.q, call.org.id, agentsIn(story));
  const nameOf: NameOf = (id) => named.get(id) ?? id;
  return { story, reach, named, nameOf };
}

function agentsIn({ events }: Story): string[] {
  const ids = new Set<string>();
  for (const { leaf } of events)
    for (const [id] of JSON.stringify(leaf).matchAll(/\bagt_[0-9a-hjkmnp-tv-z]{26}\b/g)) ids.add(id);
  return [...ids].slice(0, 200);
}
