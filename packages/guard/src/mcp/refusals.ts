import type { Operation } from '@bailiwick/protocol';
import { responseOf } from '../adapters/core.ts';
import type { Guard } from '../guard.ts';
import { type Answer, Refusal } from '../refusal.ts';
import type { Verified } from '../verify.ts';
import { type BadMessage, serverError } from './message.ts';

/**
 * A refusal as MCP's clients read it: status and challenge are HTTP's, and the body is a JSON-RPC error with the guard's problem as its `data`.
 * @param how.id of the request that is refused; null for a body that can't be read, or a batch
 * @see MCP 2026-07-28, Authorization: error handling; RFC 9457
 */
export function refusedAs(
  answer: Answer,
  how: { id: string | number | null; code: number; status?: number; challenge?: boolean },
): Response {
  const { id, code, status = answer.status, challenge = true } = how;
  const { problem } = answer;
  const message = problem?.detail ?? 'The request was refused.';
  const data = problem === undefined ? {} : { data: { ...problem, status } };
  const headers = { ...answer.headers, 'content-type': 'application/json' };
  // What isn't about the token has no challenge: it would send the client for another token.
  if (!challenge) delete (headers as Record<string, unknown>)['www-authenticate'];
  const body = JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, ...data } });
  return responseOf({ ...answer, status, headers, body });
}

/** The answer to a request that is no MCP, or says different things in different places. */
export function refuseBad(guard: Guard, verified: Verified, bad: BadMessage): Response {
  const answer = guard.refuse(verified, new Refusal('invalid_request', bad.message, { reason: bad.message }));
  return refusedAs(answer, { id: bad.id, code: bad.code, status: bad.status, challenge: false });
}

/** A tool whose definition isn't the one that somebody looked at. Told only to callers whose token reaches it. */
export function changedTool(operation: Operation): Refusal {
  return new Refusal(
    'operation_not_listed',
    'This tool is not what it was when it was registered: it is refused until somebody has looked at it.',
    { reason: `the definition of ${operation.tool} changed` },
  );
}

export function unknownDefinition(operation: Operation): Refusal {
  return new Refusal('unavailable', 'What this tool is cannot be found out right now: try again in a moment.', {
    reason: `the definition of ${operation.tool} can't be had`,
  });
}

/** Nothing is said of what there is instead. */
export function notOffered(what: string): Refusal {
  return new Refusal(
    'operation_not_listed',
    `This resource does not list ${what}, and refuses what it does not list.`,
    {
      reason: 'no such operation',
    },
  );
}

export const refusedCode = serverError;
