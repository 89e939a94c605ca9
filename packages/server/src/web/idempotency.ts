/**
 * A write with an `Idempotency-Key` happens once, however often and however concurrently it is sent: who comes later
 * gets the answer of the first. The row is written in the transaction of the change itself, so that neither exists
 * without the other.
 * @see draft-ietf-httpapi-idempotency-key-header
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '@bailiwick/protocol';
import type { Queries, Tx } from '../store/database.ts';
import { claimIdempotencyKey, findAnswer, keepAnswer } from './idempotency-store.ts';
import { badRequest, Problem } from './problem.ts';

/** An answer that can be given again. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  /** JSON, or nothing with a 204. */
  body: string | undefined;
}

/** What a request asks for, as far as two of them can be the same. */
export interface IdempotentRequest {
  key: string;
  requestHash: string;
}

/** How long an answer is kept, in milliseconds. */
export const answersKeptMs = 24 * 60 * 60 * 1000;

/**
 * Reads the header.
 * @param caller whose key it is: nobody else's answers are reachable by guessing keys
 * @returns undefined without the header
 * @throws Problem 400 for a key that isn't 1 to 255 printable characters
 */
export function idempotentRequest(
  header: string | string[] | undefined,
  caller: string,
  request: { method: string; url: string; body: unknown },
): IdempotentRequest | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(header)) {
    throw badRequest([{ field: 'Idempotency-Key', message: 'must be 1 to 255 printable ASCII characters' }]);
  }
  const { method, url, body } = request;
  return {
    key: sha256(JSON.stringify([caller, header])),
    requestHash: sha256(canonicalJson([method, url, body ?? null])),
  };
}

/**
 * Claims the key inside the transaction of the change, or answers what was answered before.
 * @throws Problem 422 when the key was used for another request
 */
export async function earlierAnswer(tx: Tx, request: IdempotentRequest, now: number): Promise<Answer | undefined> {
  const claimed = await claimIdempotencyKey(tx, { ...request, now, expiresAt: now + answersKeptMs });
  if (claimed) return undefined;
  return readAnswer(tx, request);
}

async function readAnswer(q: Queries, request: IdempotentRequest): Promise<Answer> {
  const found = await findAnswer(q, request.key);
  if (found === undefined) throw new Error('an idempotency key was claimed and is not there');
  if (found.requestHash !== request.requestHash) {
    throw new Problem(
      'idempotency-key-reused',
      'this Idempotency-Key came with another request before: choose a new one',
      {
        errors: [{ field: 'Idempotency-Key', message: 'must be new for a new request' }],
      },
    );
  }
  const { headers, body } = JSON.parse(found.body) as { headers: Record<string, string>; body?: string };
  return { status: found.status, headers, body };
}

/** Keeps the answer of a claimed key, in the same transaction. */
export async function rememberAnswer(tx: Tx, request: IdempotentRequest, answer: Answer): Promise<void> {
  const { status, headers, body } = answer;
  await keepAnswer(tx, request.key, status, JSON.stringify({ headers, body }));
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url');
