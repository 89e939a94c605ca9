/**
 * Pages of a search: where to go on, bound to the question. Nothing in it is believed but the place: what is shown was
 * decided about anew, so that a made-up cursor shows nobody more.
 * @see AuthZEN 1.0 §8.2
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '@bailiwick/protocol';
import { badRequest } from '../web/problem.ts';

export const pageLimits = { default: 50, most: 200 } as const;

/** Where a page begins, and how much it holds at most. */
export interface PageStart {
  /** The last candidate that was looked at. */
  after: string | undefined;
  limit: number;
  /** What the search is: a cursor is good for the same one alone. */
  search: string;
}

/** A short name for a search: the same for the same question, in whatever order its members stood. */
export const searchName = (search: readonly unknown[]): string =>
  createHash('sha256').update(canonicalJson(search)).digest('base64url').slice(0, 22);

/**
 * @throws Problem 400 for a cursor of another search, or another limit than the page before had
 */
export function pageStart(
  search: string,
  page: { token?: string | undefined; limit?: number | undefined } = {},
): PageStart {
  const { token = '', limit } = page;
  if (token === '') return { after: undefined, limit: Math.min(limit ?? pageLimits.default, pageLimits.most), search };
  const [version, of, most, place] = readToken(token);
  if (version !== 1 || of !== search || typeof most !== 'number' || typeof place !== 'string') {
    throw badRequest([
      { field: 'page.token', message: 'must be the next_token of the page before, of the same search' },
    ]);
  }
  if (limit !== undefined && Math.min(limit, pageLimits.most) !== most) {
    throw badRequest([{ field: 'page.limit', message: 'must be what it was for the page before' }]);
  }
  return { after: place, limit: most, search };
}

/** Opaque to whoever gets it. */
export const nextToken = ({ search, limit }: PageStart, after: string): string =>
  Buffer.from(JSON.stringify([1, search, limit, after])).toString('base64url');

function readToken(token: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
