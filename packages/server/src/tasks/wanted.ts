/** What an orchestrator says of a task that it opens or signs: strict, bounded, and not looked up yet. */
import { z } from 'zod';
import { idOf, line, oneOf, record, slug, text, time, wholeNumber } from '../lib/fields.ts';
import { longestTaskMs } from './task.ts';

const nameMessage =
  'must be 1 to 100 lowercase letters, digits, dots, hyphens or underscores, with a letter or digit at both ends';

/** What workflows and steps are called: it travels in tokens, so it says nothing about people. */
export const taskName = z.string({ error: nameMessage }).regex(/^[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?$/, nameMessage);

const scopeMessage = 'must be scopes with spaces between them';

const wantedResource = record({
  resource: line(2048, 1).meta({ description: 'Id or identifier.' }),
  scope: z
    .string({ error: scopeMessage })
    .max(4096, scopeMessage)
    .regex(/^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/, scopeMessage)
    .optional(),
  operations: z
    .array(line(200, 1), { error: 'must be a list of names of operations' })
    .min(1, 'must name at least one operation')
    .max(100, 'must be at most 100 operations')
    .optional(),
  authorization_details: z
    .array(z.record(z.string(), z.unknown(), { error: 'must be a JSON object' }), {
      error: 'must be a list of details',
    })
    .min(1, 'must have at least one detail')
    .max(50, 'must be at most 50 details')
    .optional(),
});

/** What a task is about, however it is opened. */
const work = {
  workflow: taskName,
  step: taskName.optional(),
  environment: slug.optional(),
  purpose: text(2000).default(''),
  resources: z
    .array(wantedResource, { error: 'must be a list' })
    .min(1, 'must name at least one resource: leave it out for all that the agent may')
    .max(20, 'must be at most 20 resources')
    .optional(),
};

/** `POST /tasks` */
export const taskBody = record({
  agent: idOf('agent'),
  ...work,
  ends_at: time.optional(),
  lifetime_seconds: wholeNumber(1, longestTaskMs / 1000).optional(),
});

/** The claim `task` of a signed one. */
export const signedTask = record({ ...work, ends_at: time });

export type TaskBody = z.output<typeof taskBody>;
export type WantedWork = Omit<z.output<typeof signedTask>, 'ends_at'>;
export type WantedResource = z.output<typeof wantedResource>;

/** How a task stands. */
export const taskStatuses = ['open', 'ended'] as const;
export const taskStatus = oneOf(taskStatuses);

/** A field of a task that can't be accepted as things stand, and what would be right. */
export class UnfitTask extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.name = 'UnfitTask';
    this.field = field;
  }
}

/**
 * When a task ends, in milliseconds.
 * @throws UnfitTask for no end, two ends, one that is past or more than a day ahead
 */
export function endOf(
  { ends_at: at, lifetime_seconds: seconds }: Pick<TaskBody, 'ends_at' | 'lifetime_seconds'>,
  now: number,
): number {
  if ((at === undefined) === (seconds === undefined)) {
    throw new UnfitTask('ends_at', 'or lifetime_seconds must say when it ends: one of them');
  }
  if (seconds !== undefined) return now + seconds * 1000;
  const end = Date.parse(at as string);
  if (end <= now) throw new UnfitTask('ends_at', 'must be in the future');
  if (end > now + longestTaskMs) throw new UnfitTask('ends_at', 'must be at most 24 hours ahead');
  return end;
}
