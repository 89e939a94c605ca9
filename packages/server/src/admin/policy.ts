/** A policy as the admin API shows and reads it. */
import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { longestPolicy, type Policy, type PolicyVersion, policyModes, textHash } from '../policy/policy.ts';
import { PolicyError } from '../policy/policy-error.ts';
import { type FieldError, Problem } from '../web/problem.ts';
import { idOf, line, oneOf, shownTime, slug } from './fields.ts';
import { common } from './shapes.ts';

const textMessage = `must be Cedar text of 1 to ${longestPolicy} characters: what is longer is several policies`;

export const policyText = z
  .string({ error: textMessage })
  .min(1, textMessage)
  .max(longestPolicy, textMessage)
  .meta({ description: 'Cedar statements, each with an @id.' });

/** What a policy can be told to be. */
export const decidingMode = oneOf(['enforce', 'observe']).meta({
  description: 'observe: what it would decide is recorded, and changes nothing.',
});

export const changeReason = line(500, 1).meta({
  description: 'Why, for the history and the log. Leave names of people out.',
});

const version = {
  revision: z.int().meta({ description: 'Numbers the changes of all policies of the organization.' }),
  mode: oneOf(policyModes),
  text_hash: z.string().meta({ description: 'SHA-256 of the text, base64url.' }),
  author: z
    .string()
    .meta({ description: 'Id of the agent that wrote it; `bailiwick` for what came with the program.' }),
  reason: z.string(),
};

/** In lists: without its text. */
export const listedPolicy = z.strictObject({ ...common('policy'), name: slug, ...version, updated_at: shownTime });

export const shownPolicy = z.strictObject({ ...listedPolicy.shape, text: z.string() });

export const listedVersion = z.strictObject({ policy: idOf('policy'), ...version, created_at: shownTime });

export const shownVersion = z.strictObject({ ...listedVersion.shape, text: z.string() });

const versionShown = ({ revision, mode, text, author, reason }: PolicyVersion) => ({
  revision,
  mode,
  text_hash: textHash(text),
  author,
  reason,
});

/** A policy as lists show it, without its text. */
export const listPolicy = (policy: Policy): z.output<typeof listedPolicy> => ({
  id: policy.id,
  organization: policy.org,
  created_at: rfc3339(policy.createdAt),
  name: policy.name,
  ...versionShown(policy.newest),
  updated_at: rfc3339(policy.newest.at),
});

/** A policy with its text. */
export const showPolicy = (policy: Policy): z.output<typeof shownPolicy> => ({
  ...listPolicy(policy),
  text: policy.newest.text,
});

/** A version as lists show it, without its text. */
export const listVersion = (one: PolicyVersion): z.output<typeof listedVersion> => ({
  policy: one.policy,
  ...versionShown(one),
  created_at: rfc3339(one.at),
});

/** A version with its text. */
export const showVersion = (one: PolicyVersion): z.output<typeof shownVersion> => ({
  ...listVersion(one),
  text: one.text,
});

/** What is wrong with a document, as a field error. */
export function mistakeOf(field: string, { line: at, column, message, expected }: PolicyError): FieldError {
  const wanted = expected === undefined ? '' : `; expected ${expected}`;
  return { field, message: `at line ${at}, column ${column}: ${message}${wanted}` };
}

/** @throws Problem 422 with line, column and what was expected */
export async function compiledOr422<Result>(
  compile: () => Result | Promise<Result>,
  fieldOf: (name: string) => string,
): Promise<Result> {
  try {
    return await compile();
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const mistake = mistakeOf(fieldOf(error.policy), error);
    throw new Problem('invalid', `${mistake.field} ${mistake.message}`, { errors: [mistake] });
  }
}
