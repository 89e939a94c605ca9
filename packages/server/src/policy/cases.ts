/** Runs the cases that are written beside policies: what was expected, and what came. */
import { isDeepStrictEqual } from 'node:util';
import { didYouMeanHint } from '../lib/did-you-mean.ts';
import { formatRequirement } from './annotations.ts';
import { caseFile, type PolicyCase } from './case-file.ts';
import type { PolicyEngine, PolicySet } from './engine.ts';
import type { PolicyAnswer } from './request.ts';

export { caseFile, type PolicyCase } from './case-file.ts';

export interface CaseOutcome {
  name: string;
  passed: boolean;
  answer: PolicyAnswer;
  /** What is not as expected, in sentences; none where it passed. */
  differences: readonly string[];
}

/**
 * Reads cases out of a parsed file. A command that can name lines reads the file with {@link caseFile} itself.
 * @throws ZodError
 */
export function parseCases(value: unknown): PolicyCase[] {
  return caseFile.parse(value);
}

/** Asks for each case, in their order. */
export function runCases(engine: PolicyEngine, set: PolicySet, cases: readonly PolicyCase[]): CaseOutcome[] {
  const known = set.statements.map(({ policy }) => policy);
  return cases.map((each) => {
    const answer = engine.evaluate(set, each.request);
    const differences = differencesOf(each, answer, known);
    return { name: each.name, passed: differences.length === 0, answer, differences };
  });
}

function differencesOf(expected: PolicyCase, answer: PolicyAnswer, known: readonly string[]): string[] {
  const differences: string[] = [];
  const { by, requirements, limits } = expected;
  const deciding = answer.determining.map(({ policy }) => policy);
  if (answer.decision !== expected.expect) {
    differences.push(`expected ${expected.expect}, got ${describeAnswer(answer)}`);
  }
  for (const name of by ?? []) {
    if (!known.includes(name))
      differences.push(`there is no statement ${name} in these policies.${didYouMeanHint(name, known)}`);
  }
  if (by !== undefined && !isSame(by, deciding)) {
    differences.push(`expected to be decided by ${listed(by)}, was by ${listed(deciding)}`);
  }
  const asked = answer.requirements.map(formatRequirement);
  if (requirements !== undefined && !isSame(requirements, asked)) {
    differences.push(`expected to require ${listed(requirements)}, required ${listed(asked)}`);
  }
  const { context, lifetimeSeconds } = answer.limits;
  if (limits !== undefined && limits.lifetimeSeconds !== lifetimeSeconds) {
    differences.push(
      `expected a lifetime of ${limits.lifetimeSeconds ?? 'any'} seconds, got ${lifetimeSeconds ?? 'any'}`,
    );
  }
  if (limits !== undefined && !isDeepStrictEqual(limits.context, context)) {
    differences.push(
      `expected the context ${JSON.stringify(limits.context ?? {})}, got ${JSON.stringify(context ?? {})}`,
    );
  }
  return differences;
}

/** An answer as a sentence's end: `deny by night/no-export`, `step_up by …, which requires approval`. */
export function describeAnswer(answer: PolicyAnswer): string {
  const deciding = answer.determining.map(({ policy }) => policy);
  const by =
    deciding.length > 0 ? ` by ${listed(deciding)}` : answer.decision === 'deny' ? ', since nothing permits it' : '';
  if (answer.errors.length > 0) {
    const errors = answer.errors.map(({ policy, message }) => (policy === '' ? message : `${policy}: ${message}`));
    return `deny, since it could not be evaluated: ${errors.join('; ')}`;
  }
  const required = answer.requirements.map(formatRequirement);
  return `${answer.decision}${by}${required.length > 0 ? `, which requires ${listed(required)}` : ''}`;
}

const isSame = (a: readonly string[], b: readonly string[]) => isDeepStrictEqual([...a].sort(), [...b].sort());

const listed = (names: readonly string[]) => (names.length === 0 ? 'nothing' : names.join(', '));
