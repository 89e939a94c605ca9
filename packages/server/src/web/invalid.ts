/** Turns what zod says into field errors that speak to a person. */
import type { z } from 'zod';
import { didYouMeanHint } from '../lib/did-you-mean.ts';
import { type FieldError, printableName } from './problem.ts';

/**
 * One error for each field, in the order found.
 * @param known names at the top that would have been right, for "did you mean"
 */
export function fieldErrors(error: z.ZodError, input: unknown, where: string, known: string[]): FieldError[] {
  const errors = error.issues.flatMap((issue) => errorsOf(issue, input, where, known));
  const seen = new Set<string>();
  return errors.filter(({ field }) => !seen.has(field) && seen.add(field)).slice(0, 20);
}

function errorsOf(issue: z.core.$ZodIssue, input: unknown, where: string, known: string[]): FieldError[] {
  const field = pathOf(issue.path) || where;
  if (issue.code === 'unrecognized_keys') {
    const at = pathOf(issue.path);
    return issue.keys.map((key) => ({
      field: pathOf([...issue.path, key]),
      message: `is not known ${at ? `in ${at}` : 'here'}.${at ? '' : didYouMeanHint(key.slice(0, 80), known)}`,
    }));
  }
  if (valueAt(input, issue.path) === undefined) return [{ field, message: `is required and ${issue.message}` }];
  return [{ field, message: issue.message }];
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text ? `${text}.${printableName(String(key))}` : printableName(String(key));
  }, '');
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((node, key) => (node as Record<PropertyKey, unknown> | undefined | null)?.[key], input);
}
