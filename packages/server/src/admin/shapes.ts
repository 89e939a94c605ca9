/** Pieces that several nouns share: list parameters, the members that every thing shows, merge patches, changes. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type IdKind, newId } from '../lib/ids.ts';
import { fieldErrors } from '../web/invalid.ts';
import { pageLimits, readCursor } from '../web/paging.ts';
import { badRequest, Problem } from '../web/problem.ts';
import { countInQuery, idOf, line, record, shownTime } from './fields.ts';
import type { Call } from './route.ts';

/** Query parameters of a list, beside its own filters. */
export const listQuery = <Shape extends z.core.$ZodShape>(filters: Shape) =>
  z.strictObject({
    ...filters,
    limit: countInQuery(1, pageLimits.most)
      .optional()
      .meta({ description: `How many at most; ${pageLimits.default} unless said otherwise.` }),
    cursor: line(200).optional().meta({ description: 'The next_cursor of the page before.' }),
  });

/** What a store needs for a page: one row more than is shown, to know whether there is another page. */
export function pageFilter(
  kind: IdKind,
  query: { limit?: number | undefined; cursor?: string | undefined },
): { after: string | undefined; limit: number; shown: number } {
  const shown = query.limit ?? pageLimits.default;
  return { after: readCursor(kind, query.cursor), limit: shown + 1, shown };
}

/** A page of these. */
export const pageOfSchema = <Item extends z.ZodType>(item: Item) =>
  z.strictObject({ items: z.array(item), next_cursor: z.string().optional() });

export const byId = (kind: IdKind) => z.strictObject({ id: idOf(kind) });

/** What every registered thing shows. */
export const common = (kind: IdKind) => ({
  id: idOf(kind).meta({ examples: [exampleId(kind)] }),
  organization: idOf('organization').meta({ description: 'Whose it is.' }),
  created_at: shownTime,
});

/** An id for examples: the same in every document. */
export const exampleId = (kind: IdKind): string =>
  newId({ clock: { now: () => 1_795_000_000_000 }, random: { bytes: (n) => Buffer.alloc(n, 7) } }, kind);

/** The entity tag of a representation. @see RFC 9110 §8.8.3 */
export function entityTag(representation: unknown): string {
  return `"${createHash('sha256').update(JSON.stringify(representation)).digest('base64url').slice(0, 22)}"`;
}

/** Refuses a change of what has changed since the caller read it. @see RFC 9110 §13.1.1 */
export function checkMatch(call: Call, current: unknown): void {
  const { ifMatch } = call;
  if (ifMatch === undefined || ifMatch === '*') return;
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (tags.includes(entityTag(current))) return;
  throw new Problem('precondition-failed', 'it is not as you read it: read it again, then change it', {
    errors: [{ field: 'If-Match', message: 'must be the ETag of the newest answer' }],
  });
}

/**
 * A JSON Merge Patch of something whose writable members are `shape`: every member may be left away, and those that
 * need not be there may be taken away with `null`.
 * @see RFC 7396
 */
export function patchOf<Shape extends z.core.$ZodShape>(shape: Shape) {
  const members = Object.entries(shape).map(([name, field]) => [name, patched(field as z.ZodType)] as const);
  return z.strictObject(Object.fromEntries(members), {
    error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : 'must be a JSON object'),
  }) as unknown as z.ZodObject<{
    [Name in keyof Shape]: z.ZodOptional<z.ZodType<unknown>>;
  }>;
}

function patched(field: z.ZodType): z.ZodType {
  if (field instanceof z.ZodDefault || field instanceof z.ZodPrefault || field instanceof z.ZodOptional) {
    const inner = patched(field.def.innerType as z.ZodType);
    return (inner instanceof z.ZodOptional ? (inner.def.innerType as z.ZodType) : inner).nullable().optional();
  }
  if (field instanceof z.ZodObject) return patchOf(field.shape).optional();
  return field.optional();
}

/** What a merge patch makes of `before`. @see RFC 7396 §2 */
export function mergePatch(before: Readonly<Record<string, unknown>>, patch: Readonly<Record<string, unknown>>) {
  const merged: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(patch)) {
    if (value === undefined) continue;
    if (value === null) delete merged[name];
    else if (isRecord(value)) merged[name] = mergePatch(isRecord(merged[name]) ? merged[name] : {}, value);
    else merged[name] = value;
  }
  return merged;
}

/**
 * What a patch makes of the writable members of a thing, checked as if all of it had just been written.
 * @throws Problem 400 naming each field
 */
export function patchedBy<Schema extends z.ZodObject>(
  schema: Schema,
  before: z.input<Schema>,
  patch: Readonly<Record<string, unknown>>,
): z.output<Schema> {
  const merged = mergePatch(before as Record<string, unknown>, patch);
  const parsed = schema.safeParse(merged);
  if (!parsed.success) throw badRequest(fieldErrors(parsed.error, merged, 'body', Object.keys(schema.shape)));
  return parsed.data;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The members in which two representations differ, with their new values (`null` for what is gone). */
export function changes(before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const changed: Record<string, unknown> = {};
  for (const name of names) {
    if (name === 'updated_at') continue;
    if (JSON.stringify(before[name]) !== JSON.stringify(after[name])) changed[name] = after[name] ?? null;
  }
  return changed;
}

/** Why something is stopped: for the log, and optional. */
export const stopBody = record({
  reason: line(500).default('').meta({ description: 'Why, for the log. Leave names of people out.' }),
}).prefault({});
