/** What a mandate says, as whoever gives it or passes it on writes it: strict, bounded, and not looked up yet. */
import { z } from 'zod';
import { writableContext } from '../lib/context-fields.ts';
import { idOf, line, oneOf, record, setOf, slug, taskName, text, time, wholeNumber } from '../lib/fields.ts';
import { Unfit } from '../lib/unfit.ts';
import { wantedResources } from '../lib/wanted-resources.ts';
import { partsPerUnit } from './ledger.ts';
import { deepest, type MandateLimits, type MandateResource, waysOfGiving } from './mandate.ts';

/** How long a mandate may last, in milliseconds. */
export const longestMandateMs = 366 * 24 * 60 * 60 * 1000;

const pointerMessage = 'must be a JSON Pointer such as /amount (RFC 6901)';
const pointer = z
  .string({ error: pointerMessage })
  .max(200, pointerMessage)
  .regex(/^(\/([^~/\u0000-\u001f\u007f]|~[01])+)+$/, pointerMessage);

const totalMessage = 'must be a number above 0, at most a thousand million, with at most six decimals';
const total = z
  .number({ error: totalMessage })
  .positive(totalMessage)
  .max(1e9, totalMessage)
  .refine((value) => Math.round(value * partsPerUnit) / partsPerUnit === value, totalMessage);

const amountLimit = record({
  type: line(200, 1).meta({ description: 'The type of details that is counted.' }),
  amount: pointer.meta({ description: 'Where in such a detail the amount stands (JSON Pointer).' }),
  unit: record({
    at: pointer.meta({ description: 'Where its unit stands.' }),
    is: line(100, 1).meta({ description: 'Which one is counted: details with another are refused.' }),
  }).optional(),
  total: total.meta({ description: 'What they may come to in total, passed on or not. At most six decimals.' }),
});

export const wantedLimits = record({
  uses: wholeNumber(1, 1_000_000_000).optional().meta({ description: 'So many tokens.' }),
  amounts: z
    .array(amountLimit, { error: 'must be a list' })
    .min(1, 'must have at least one limit')
    .max(10, 'must be at most 10 limits')
    .refine((all) => new Set(all.map(({ type, amount }) => JSON.stringify([type, amount]))).size === all.length, {
      error: 'must limit each amount of a type once, in one unit',
    })
    .optional(),
});

export const wantedPassing = record({
  depth: wholeNumber(0, deepest - 1)
    .default(0)
    .meta({ description: 'How many times over it may be passed on: 0 is not at all.' }),
  to: setOf(idOf('agent'), 100, 'agents')
    .optional()
    .meta({ description: 'To which agents, at any depth; any of the organization, if nothing is said.' }),
});

/** What is said of a mandate whoever writes it; who passes one on may leave out the resources too. */
export const wantedPower = {
  resources: wantedResources('must name at least one resource').meta({
    description: 'What may be done. Details (RFC 9396) are bounds: what a token says is within one of them.',
  }),
  context: writableContext.meta({
    description: 'Where and when its tokens may be used; anywhere, if nothing is said.',
  }),
  task: record({
    id: idOf('task').optional(),
    workflow: taskName.optional(),
    environment: slug.optional(),
  })
    .refine((said) => Object.keys(said).length > 0, 'must say id, workflow or environment')
    .optional()
    .meta({ description: 'The work that it is for: a token needs a task of an orchestrator that says the same.' }),
  limits: wantedLimits.default({}).meta({
    description: 'How much may be done with it and all that is passed on of it, together; without: no matter how much.',
  }),
  passing: wantedPassing.prefault({}),
};

/** What is said of a part by whoever passes it on or asks for it: what isn't said is as whatever it is a part of has it. */
export const wantedPart = {
  resources: wantedPower.resources.optional(),
  context: writableContext.removeDefault().optional(),
  task: wantedPower.task,
  limits: wantedLimits.optional(),
  passing: wantedPassing.optional(),
  expires_in: wholeNumber(1, longestMandateMs / 1000).optional(),
};

export type WantedPart = z.output<z.ZodObject<typeof wantedPart>>;

/** `POST /admin/v1/mandates` */
export const mandateBody = record({
  person: idOf('person').meta({ description: 'For whom: somebody of the same organization.' }),
  agent: idOf('agent').meta({ description: 'Who may act for them.' }),
  instance: idOf('instance')
    .optional()
    .meta({ description: 'The one running copy of the agent that may, with its children; every one, if not said.' }),
  name: slug.optional().meta({
    description:
      'What to call it, so that it is told apart: no other of the organization until its time is up, though it was ended before. Not somebody’s name.',
  }),
  ...wantedPower,
  given: record({
    way: oneOf(waysOfGiving).exclude(['passed_on']).default('administrator').meta({
      description: 'In which way the person gave it: another than `administrator` where it was given elsewhere.',
    }),
    text: text(20_000).optional().meta({ description: 'The text that the person saw. Sealed in the log.' }),
    language: z
      .string()
      .regex(/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,5}$/, 'must be a language such as en or pt-BR (BCP 47)')
      .optional()
      .meta({ description: 'In which language (BCP 47).' }),
  }).prefault({}),
  expires_at: time.optional().meta({ description: 'When it ends; at most 366 days ahead.' }),
  expires_in: wholeNumber(1, longestMandateMs / 1000)
    .optional()
    .meta({ description: 'In place of that: in so many seconds.' }),
});

export type MandateBody = z.output<typeof mandateBody>;

/** What a patch is held against: a mandate as it would be afterwards. */
export const narrowable = { ...wantedPower, expires_at: time };

/**
 * The limits of a mandate, if each counts something that it allows.
 * @throws Unfit
 */
export function limitsOf(limits: MandateLimits, resources: readonly MandateResource[]): MandateLimits {
  const types = new Set(resources.flatMap(({ details }) => details.map(({ type }) => type)));
  const at = (limits.amounts ?? []).findIndex(({ type }) => !types.has(type));
  if (at >= 0) {
    throw new Unfit(`limits.amounts[${at}].type`, 'must be a type of authorization_details that the mandate names');
  }
  return limits;
}

/**
 * When a mandate ends, in milliseconds.
 * @throws Unfit for no end, two ends, one that is past or too far ahead
 */
export function mandateEnd(
  { expires_at: at, expires_in: seconds }: Pick<MandateBody, 'expires_at' | 'expires_in'>,
  now: number,
): number {
  if ((at === undefined) === (seconds === undefined)) {
    throw new Unfit('expires_at', 'or expires_in must say when it ends: one of them');
  }
  const end = at === undefined ? now + (seconds as number) * 1000 : Date.parse(at);
  if (end <= now) throw new Unfit('expires_at', 'must be in the future');
  if (end > now + longestMandateMs) throw new Unfit('expires_at', 'must be at most 366 days ahead');
  return end;
}
