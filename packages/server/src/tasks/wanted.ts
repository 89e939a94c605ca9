/** What an orchestrator says of a task that it opens or signs: strict, bounded, and not looked up yet. */
import type { z } from 'zod';
import { idOf, oneOf, record, slug, taskName, text, time, wholeNumber } from '../lib/fields.ts';
import { Unfit } from '../lib/unfit.ts';
import { wantedResources } from '../lib/wanted-resources.ts';
import { longestTaskMs } from './task.ts';

/** What a task is about, however it is opened. */
const work = {
  workflow: taskName,
  step: taskName.optional(),
  environment: slug.optional(),
  purpose: text(2000).default(''),
  resources: wantedResources('must name at least one resource: leave it out for all that the agent may').optional(),
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

/** How a task stands. */
export const taskStatuses = ['open', 'ended'] as const;
export const taskStatus = oneOf(taskStatuses);

/**
 * When a task ends, in milliseconds.
 * @throws Unfit for no end, two ends, one that is past or more than a day ahead
 */
export function endOf(
  { ends_at: at, lifetime_seconds: seconds }: Pick<TaskBody, 'ends_at' | 'lifetime_seconds'>,
  now: number,
): number {
  if ((at === undefined) === (seconds === undefined)) {
    throw new Unfit('ends_at', 'or lifetime_seconds must say when it ends: one of them');
  }
  if (seconds !== undefined) return now + seconds * 1000;
  const end = Date.parse(at as string);
  if (end <= now) throw new Unfit('ends_at', 'must be in the future');
  if (end > now + longestTaskMs) throw new Unfit('ends_at', 'must be at most 24 hours ahead');
  return end;
}
