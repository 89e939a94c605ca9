/** What guards send: small, and read strictly. */
import { z } from 'zod';
import type { AppliedTold, LeaseAsked } from '../feed-leases/requests.ts';
import { parseJsonBody } from '../web/body.ts';
import { badRequest } from '../web/problem.ts';

const number = z
  .number({ error: 'must be a whole number' })
  .int('must be a whole number')
  .min(0, 'must be at least 0')
  .max(2 ** 52);
const nonce = z
  .string({ error: 'must be text' })
  .regex(/^[\w-]{8,64}$/, 'must be 8 to 64 characters of A-Z a-z 0-9 - _');
const mac = z.string({ error: 'must be text' }).regex(/^[\w-]{43}$/, 'must be 32 bytes as base64url');

const open = z.strictObject({ nonce, after: number.optional() });
const lease = z.strictObject({
  count: number,
  applied: number,
  nonce,
  mac,
  wait_ms: number.max(60_000, 'must be at most 60000').optional(),
});
const applied = z.strictObject({ count: number, applied: number, mac });
const end = z.strictObject({ count: number, mac });

/** @throws Problem 400 */
export function openBody(body: unknown): { nonce: string; after: number | undefined } {
  const { nonce, after } = read(open, body);
  return { nonce, after };
}

/** A request for a lease; without a nonce to answer, and nothing to wait for, it only says what was applied. @throws Problem 400 */
export function sessionBody(body: unknown): LeaseAsked | AppliedTold {
  if (asksForNothing(body)) return read(applied, body);
  const { wait_ms, ...asked } = read(lease, body);
  return { ...asked, waitMs: wait_ms ?? 0 };
}

/** One line of many that say what was applied. @throws Problem 400 */
export const appliedLine = (line: string): AppliedTold => read(applied, parseJsonBody(line));

const asksForNothing = (body: unknown): boolean =>
  typeof body === 'object' && body !== null && 'applied' in body && !('nonce' in body) && !('wait_ms' in body);

/** @throws Problem 400 */
export const endBody = (body: unknown): { count: number; mac: string } => read(end, body);

/** The number that a stream goes on from. @throws Problem 400 */
export function afterOf(query: unknown): number {
  const after = (query as Record<string, unknown>).after;
  if (typeof after === 'string' && /^\d{1,15}$/.test(after)) return Number(after);
  throw badRequest([{ field: 'after', message: 'must be the number that you are at, as ?after=42' }]);
}

function read<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw badRequest(
    parsed.error.issues.map(({ path, message, code }) => ({
      field: path.join('.') || 'body',
      message: code === 'unrecognized_keys' ? 'has a member that is not known here' : message,
    })),
  );
}
