/**
 * Pages by cursor: a cursor says after which id to go on. Ids are in the order of creation and never reused, so that
 * nothing is shown twice or left out when things are added or ended between two pages.
 */
import { type IdKind, isId } from '../lib/ids.ts';
import { badRequest } from './problem.ts';

export const pageLimits = { default: 50, most: 200 } as const;

export interface Page<Item> {
  items: Item[];
  next_cursor?: string;
}

/** Opaque to callers: the last id that was shown, with a mark of its form. */
export function cursorAfter(id: string): string {
  return Buffer.from(`1.${id}`).toString('base64url');
}

/**
 * The id that a cursor stands for.
 * @throws Problem 400 naming `cursor` when it was not made by us for a list of this kind
 */
export function readCursor(kind: IdKind, cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const id = text.slice(2);
  if (text.startsWith('1.') && isId(kind, id) && cursorAfter(id) === cursor) return id;
  throw badRequest([{ field: 'cursor', message: 'must be the next_cursor of an earlier page of this list' }]);
}

/**
 * Makes a page out of `limit + 1` rows: the extra one only says that there is more.
 * @param rows in the order of the list, at most one more than `limit`
 */
export function pageOf<Row extends { id: string }, Item>(
  rows: readonly Row[],
  limit: number,
  show: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(show),
    ...(rows.length > limit && last && { next_cursor: cursorAfter(last.id) }),
  };
}
