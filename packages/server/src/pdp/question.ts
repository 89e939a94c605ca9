/** What the asking side sends, read without believing it: the information model of AuthZEN 1.0 §5. */
import { canonicalAddress, canonicalJson, readTraceparent } from '@bailiwick/protocol';
import { z } from 'zod';
import { fieldErrors } from '../web/invalid.ts';
import { badRequest } from '../web/problem.ts';

/** More than anybody's policies read, and less than what would cost us much. */
const mostProperties = 64;
const longestValue = 512;
/** Of all names and values together: Cedar reads them anew for every few statements. */
const longestTogether = 4096;

const object = 'must be a JSON object';
const text = (most: number) => {
  const what = `must be a string of 1 to ${most} characters`;
  return z.string({ error: what }).min(1, what).max(most, what);
};

const anything = z.record(text(256), z.unknown(), { error: object });
type Issues = Pick<z.core.$RefinementCtx, 'addIssue'>;

/**
 * Attributes as policies read them: strings as they are, numbers and booleans written out, what is nested as canonical
 * JSON. What is null is absent.
 * @see AuthZEN 1.0 §11.5
 */
function textsOf(
  all: Readonly<Record<string, unknown>>,
  issues: Issues,
  path: readonly string[],
): Readonly<Record<string, string>> {
  const entries = Object.entries(all).filter(([, value]) => value !== null && value !== undefined);
  if (entries.length > mostProperties) {
    issues.addIssue({ code: 'custom', path: [...path], message: `must have at most ${mostProperties} members` });
    return {};
  }
  let together = 0;
  return Object.fromEntries(
    entries.map(([name, value]) => {
      const written = asText(value);
      const fitted = together <= longestTogether;
      together += name.length + (written?.length ?? 0);
      if (fitted && together > longestTogether) {
        const message = `must have at most ${longestTogether} characters of names and values`;
        issues.addIssue({ code: 'custom', path: [...path], message });
      }
      if (written !== undefined && written.length <= longestValue) return [name, written];
      const message = `must be at most ${longestValue} characters of I-JSON`;
      issues.addIssue({ code: 'custom', path: [...path, name], message });
      return [name, ''];
    }),
  );
}

function asText(value: unknown): string | undefined {
  try {
    return typeof value === 'string' ? value : canonicalJson(value);
  } catch {
    return undefined; // a number beyond what a double holds
  }
}

const properties = anything.transform((all, issues) => textsOf(all, issues, [])).default({});

/** Policies call what only the asking side knows `<type>:<id>`: with a colon in the type, two could have one name. */
const type = text(256).refine((name) => !name.includes(':'), 'must have no colon: policies write one after it');

const typed = z.object({ type, properties }, { error: object });
const entity = typed.extend({ id: text(1024) });

/** Its properties are parameters of the action, too: those of an operation are compared as they were sent. */
const action = z
  .object({ name: text(256), properties: anything.default({}) }, { error: object })
  .transform(({ name, properties: parameters }, issues) => ({
    name,
    parameters,
    properties: textsOf(parameters, issues, ['properties']),
  }));

/** As an agent may say of itself: what has an id was opened by an orchestrator, and a token tells of it. */
const aboutTask = z.object({
  workflow: text(256).optional(),
  step: text(256).optional(),
  environment: text(256).optional(),
  purpose: text(2000).optional(),
});

/** What is read of a context is ours to define. All else of it is what the asking side claims. @see AuthZEN 1.0 §5.4 */
const context = z
  .looseObject(
    {
      access_token: text(16_384).optional(),
      presenter_address: z
        .string()
        .transform((address) => canonicalAddress(address) ?? '')
        .refine((address) => address !== '', 'must be an IP address')
        .optional(),
      task: aboutTask.optional().catch(undefined),
      traceparent: z.unknown().optional(),
    },
    { error: object },
  )
  .transform(({ access_token, presenter_address, task, traceparent, ...rest }, issues) => ({
    accessToken: access_token,
    presenterAddress: presenter_address,
    task,
    trace: readTraceparent(traceparent),
    claimed: textsOf(rest, issues, []),
  }))
  .default({ accessToken: undefined, presenterAddress: undefined, task: undefined, trace: undefined, claimed: {} });

const evaluation = z.object({ subject: entity, action, resource: entity, context }, { error: object });

const page = z.object(
  {
    token: z.string({ error: 'must be the next_token of the page before' }).max(4096).optional(),
    limit: z.int({ error: 'must be a whole number, not negative' }).min(0, 'must not be negative').optional(),
  },
  { error: object },
);

export const semantics = ['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'] as const;
export type Semantic = (typeof semantics)[number];

/** The most questions of one request. */
export const mostEvaluations = 100;

/** What fields that aren't known hold is ignored, as AuthZEN asks for: they are those of a later version. */
const batch = z.object(
  {
    // what is said for all is looked at even where every question says it for itself
    subject: entity.optional(),
    action: action.optional(),
    resource: entity.optional(),
    context: context.optional(),
    evaluations: z
      .array(z.unknown(), { error: 'must be a list' })
      .max(mostEvaluations, `must be at most ${mostEvaluations}: ask again for the others`)
      .default([]),
    options: z
      .object(
        { evaluations_semantic: z.enum(semantics, { error: `must be one of ${semantics.join(', ')}` }).optional() },
        { error: object },
      )
      .default({}),
  },
  { error: object },
);

/** The three searches: what is searched for needs no id, and one that is there means nothing. @see AuthZEN 1.0 §8.4 to §8.6 */
const searches = {
  subject: z.object({ subject: typed, action, resource: entity, context, page: page.optional() }, { error: object }),
  resource: z.object({ subject: entity, action, resource: typed, context, page: page.optional() }, { error: object }),
  action: z.object({ subject: entity, resource: entity, context, page: page.optional() }, { error: object }),
};

export type AskedEntity = z.output<typeof entity>;
export type AskedAction = z.output<typeof action>;
export type AskedContext = z.output<typeof context>;

/** One question: may this subject do this to that, here and now? */
export type Question = z.output<typeof evaluation>;

export type SearchKind = keyof typeof searches;
export type Search<Kind extends SearchKind> = z.output<(typeof searches)[Kind]>;

/** @throws Problem 400 naming every member that is missing or of another type. @see AuthZEN 1.0 §6.1 */
export const readEvaluation = (body: unknown): Question => read(evaluation, body);

/** @throws Problem 400, as for one question. @see AuthZEN 1.0 §8 */
export const readSearch = <Kind extends SearchKind>(kind: Kind, body: unknown): Search<Kind> =>
  read(searches[kind] as z.ZodType, body) as Search<Kind>;

/** Several questions. One that can't be read stands as what was wrong with it: the others are answered. */
export interface Questions {
  semantic: Semantic;
  questions: readonly (Question | { wrong: string })[];
}

/**
 * Reads a batch: what stands at the top is meant wherever a question doesn't say it, each entity as a whole.
 * @returns the one question at the top where there is no list
 * @throws Problem 400 for what is wrong with the whole
 * @see AuthZEN 1.0 §7.1
 */
export function readEvaluations(body: unknown): Questions | Question {
  const { evaluations, options, ...rest } = read(batch, body);
  if (evaluations.length === 0) return readEvaluation(body);
  const given = body as Record<string, unknown>;
  const defaults: Record<string, unknown> = {};
  for (const name of Object.keys(rest)) if (given[name] !== undefined) defaults[name] = given[name];
  const questions = evaluations.map((own) => {
    const whole = isObject(own) ? { ...defaults, ...own } : own;
    const result = evaluation.safeParse(whole);
    return result.success ? result.data : { wrong: sentence(result.error, whole) };
  });
  return { semantic: options.evaluations_semantic ?? 'execute_all', questions };
}

function read<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw badRequest(fieldErrors(result.error, body, 'body', []));
}

const sentence = (error: z.ZodError, input: unknown): string =>
  fieldErrors(error, input, 'evaluation', [])
    .map(({ field, message }) => `${field} ${message}`)
    .join('; ');

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
