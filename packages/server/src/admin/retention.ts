/** How long the log keeps events. */
import { z } from 'zod';
import { eventTypes } from '../audit/event.ts';
import { daysKept, everyType, isRuled, keptAtLeast, keptForEver } from '../log/retention.ts';
import { listRetention, setRetention, unsetRetention } from '../log/retention-store.ts';
import type { Queries } from '../store/database.ts';
import { invalid } from '../web/problem.ts';
import { line, record, wholeNumber } from './fields.ts';
import { read, write } from './route.ts';

const days = wholeNumber(1, 36_500);

const shown = z.strictObject({
  rules: z
    .record(z.string(), z.int().nullable())
    .meta({ description: 'What was said, in days; `null`: for ever. `*` is every type without a rule.' }),
  kept: z
    .record(z.string(), z.int())
    .meta({ description: 'What holds for each type that is not kept for ever, in days.' }),
});

async function show(q: Queries, org: string): Promise<z.output<typeof shown>> {
  const rules = new Map((await listRetention(q, org)).map((rule) => [rule.type, rule.days]));
  const kept = Object.keys(eventTypes).flatMap((type) => {
    const most = daysKept(rules, type);
    return most === undefined ? [] : [[type, most]];
  });
  return { rules: Object.fromEntries(rules), kept: Object.fromEntries(kept) };
}

export const retentionRoutes = [
  read({
    id: 'getRetention',
    path: '/log/retention',
    summary: 'Show how long events are kept',
    scopes: ['events:read'],
    response: shown,
    handler: async (call) => show(call.q, call.org.id),
  }),
  write('PUT', {
    id: 'setRetention',
    path: '/log/retention',
    summary: 'Say how long events of a type are kept',
    description:
      'Without a rule they are kept for ever, but for `access.used` (400 days). Of each event that goes, the hash of its leaf stays, so that proofs hold. What an exporter has not read yet waits for it, for 30 days at most.',
    scopes: ['events:write'],
    body: record({
      type: line(64, 1).meta({ description: 'A type of event, or `*` for all that have no rule of their own.' }),
      days: days.nullable().optional().meta({ description: '`null`: for ever. Left away: as the program has it.' }),
    }),
    example: { type: 'access.used', days: 90 },
    response: shown,
    async handler(call, { body }) {
      const { tx, org, now } = call;
      const { type } = body;
      if (!isRuled(type)) {
        const always = (keptForEver as readonly string[]).includes(type);
        throw invalid(
          'type',
          always ? 'is kept for ever: it says why something is no longer there' : 'must be a type of event, or *',
        );
      }
      const least = keptAtLeast[type as keyof typeof keptAtLeast] ?? 1;
      if (typeof body.days === 'number' && body.days < least)
        throw invalid('days', `must be at least ${least} for ${type}`);
      if (body.days === undefined) await unsetRetention(tx, org.id, type);
      else await setRetention(tx, { org: org.id, type, days: body.days }, now);
      const changed = {
        type: type === everyType ? 'every type' : type,
        days: body.days ?? (body.days === null ? 'for ever' : 'default'),
      };
      const event = {
        type: 'log.retention_changed' as const,
        org: org.id,
        target: org.id,
        changed,
        unremembered: true,
      };
      return { body: await show(tx, org.id), event };
    },
  }),
] as const;
