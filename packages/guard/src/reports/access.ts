import { type AccessReport, type Operation, readTraceparent } from '@bailiwick/protocol';
import type { RefusalCode } from '../refusal.ts';
import type { GuardRequest } from '../request.ts';
import type { VerifiedToken } from '../tokens.ts';

/** A decision about a request with a verified token. */
export interface Decided {
  request: GuardRequest;
  token: VerifiedToken;
  operation: Operation | undefined;
  address: string | undefined;
  outcome: 'allowed' | 'refused';
  status: number;
  code: RefusalCode | undefined;
  reason: string | undefined;
  /** By what it was known that the token stands. */
  mode: string;
}

/** What the server keeps of it: no path as it was sent, no query, no argument. */
export function accessReport(decided: Decided, { id, at }: { id: string; at: number }): AccessReport {
  const { request, token, operation, address, outcome, status, code, reason, mode } = decided;
  const { caller } = token;
  const trace = traceOf(request);
  return {
    type: 'access.used',
    id,
    at: new Date(at).toISOString(),
    outcome,
    status,
    ...(code === undefined ? {} : { code }),
    ...(reason === undefined || aboutUs.has(code) ? {} : { reason: plain(reason) }),
    agent: caller.agent,
    organization: caller.organization,
    ...(caller.instance === undefined ? {} : { instance: caller.instance }),
    ...(caller.task === undefined ? {} : { task: caller.task.id }),
    jti: caller.token.jti,
    ...(caller.transaction === undefined ? {} : { txn: caller.transaction.txn }),
    ...(caller.chain.length === 0 ? {} : { act: caller.chain.map(({ subject }) => subject) }),
    ...(operation === undefined ? {} : { operation: operation.name }),
    ...(/^[A-Z]{1,20}$/.test(request.method) ? { method: request.method } : {}),
    ...(operation?.path === undefined ? {} : { path: operation.path }),
    ...(address === undefined ? {} : { address }),
    ...(trace === undefined ? {} : { trace }),
    mode,
  };
}

/** The `traceparent` that a request came with, if it is one. */
export function traceOf({ headers }: Pick<GuardRequest, 'headers'>): string | undefined {
  const values = headers.traceparent;
  return values?.length === 1 ? readTraceparent(values[0]) : undefined;
}

/** Of these the reason is the guard's own affair: addresses, stacks. */
const aboutUs: ReadonlySet<RefusalCode | undefined> = new Set(['unavailable', 'internal']);

/** As the log keeps it: short, and nothing invisible. */
const plain = (reason: string) => reason.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200);
