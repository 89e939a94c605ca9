/** Turns what zod says into field errors that speak to a person. */
import type { z } from 'zod';
import { didYouMeanHint } from '../lib/did-you-mean.ts';
import { Unfit } from '../lib/unfit.ts';
import { badRequest, type FieldError, invalid, printableName } from './problem.ts';

/** A body as its schema reads it; none is an empty one. @throws Problem 400 naming every field that is wrong */
export const parsedBody = <Shape extends z.core.$ZodShape>(schema: z.ZodObject<Shape>, body: unknown) =>
  parsed(schema, body ?? {}, 'body');

/** The same of a query string. @throws Problem 400 */
export const parsedQuery = <Shape extends z.core.$ZodShape>(schema: z.ZodObject<Shape>, query: unknown) =>
  parsed(schema, query, 'query');

function parsed<Shape extends z.core.$ZodShape>(
  schema: z.ZodObject<Shape>,
  input: unknown,
  where: string,
): z.output<z.ZodObject<Shape>> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw badRequest(fieldErrors(result.error, input, where, Object.keys(schema.shape)));
}

/** Does the work. @throws Problem 422 for what is `Unfit` in it */
export async function fitting<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Unfit) throw invalid(error.field, error.message);
    throw error;
  }
}

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
