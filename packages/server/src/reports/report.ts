/** What is reported, read without believing it. Members that aren't known are those of a later version, and ignored. */
import { canonicalAddress, readTraceparent } from '@bailiwick/protocol';
import { z } from 'zod';
import { isId } from '../lib/ids.ts';

/** Printable, short: all of it stays in the log for ever. */
const text = (most: number) =>
  z
    .string()
    .regex(/^[\x20-\x7e]+$/)
    .max(most);
/** As somebody named it: in any script, but without line breaks, and nothing that turns the direction of what is around it. */
const name = z.string().regex(/^[^\p{C}\p{Zl}\p{Zp}]{1,200}$/u);
const word = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/);
const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const counts = z.record(word, count).refine((all) => Object.keys(all).length <= 32);
const idOf = (kind: Parameters<typeof isId>[0]) => z.string().refine((id) => isId(kind, id));
const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/)
  .transform((written) => Date.parse(written))
  .refine((ms) => Number.isFinite(ms));
/** What is no `traceparent` is as if it weren't there. */
const trace = z
  .unknown()
  .optional()
  .transform((value) => readTraceparent(value));
/** One that can't be read is no reason to lose the rest. */
const address = z
  .unknown()
  .optional()
  .transform((value) => (typeof value === 'string' ? canonicalAddress(value) : undefined));

const common = { id: z.string().regex(/^[\w.-]{16,64}$/), at: time };

const accessUsed = z.object({
  ...common,
  type: z.literal('access.used'),
  outcome: z.enum(['allowed', 'refused']),
  status: z.int().min(100).max(599),
  code: word.optional(),
  reason: text(200).optional(),
  agent: idOf('agent'),
  organization: idOf('organization'),
  instance: idOf('instance').optional(),
  task: text(64).optional(),
  jti: text(64),
  txn: text(128).optional(),
  act: z.array(text(2048)).max(8).optional(),
  operation: name.optional(),
  method: z
    .string()
    .regex(/^[A-Z]{1,20}$/)
    .optional(),
  path: text(1024).optional(),
  address,
  trace,
  mode: word,
});

const accessUnproven = z.object({ ...common, type: z.literal('access.unproven'), since: time, counts });
const accessUnreported = z.object({
  ...common,
  type: z.literal('access.unreported'),
  since: time,
  counts,
  causes: counts,
});

const ofTask = { ...common, task: idOf('task'), trace };
const taskStarted = z.object({ ...ofTask, type: z.literal('task.started') });
const taskFinished = z.object({
  ...ofTask,
  type: z.literal('task.finished'),
  result: z.enum(['ok', 'failed', 'abandoned']),
});

const report = z.discriminatedUnion('type', [accessUsed, accessUnproven, accessUnreported, taskStarted, taskFinished]);

export type ReadReport = z.output<typeof report>;
export type AccessUsed = z.output<typeof accessUsed>;
export type AccessSummary = z.output<typeof accessUnproven> | z.output<typeof accessUnreported>;
export type TaskReported = z.output<typeof taskStarted> | z.output<typeof taskFinished>;

/** @returns undefined for what can't be read */
export function readReport(given: unknown): ReadReport | undefined {
  const read = report.safeParse(given);
  return read.success ? read.data : undefined;
}
