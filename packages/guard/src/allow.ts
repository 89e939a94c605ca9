import type { Operation } from '@bailiwick/protocol';
import type { Allowed, Core, Seen } from './decide.ts';
import { Refusal } from './refusal.ts';
import type { Verified } from './verify.ts';

/** What a verified caller wants to do: one operation, and what its parameters are in this request. */
export interface Asked {
  operation: Operation;
  /** By name: of the path, decoded, or arguments of a tool. */
  parameters: Readonly<Record<string, unknown>>;
}

/**
 * Asks whether a verified caller may do this now, or undefined where that needn't be asked of this operation.
 * @throws Refusal `access_denied` or `insufficient_user_authentication`; Unavailable when nobody answers in time
 */
export type ContinuousCheck = (verified: Verified, asked: Asked) => Promise<void> | undefined;

/**
 * The second half of a decision: whether a verified caller may do this.
 * @param asked undefined for what the resource doesn't list
 * @throws Refusal, or Unavailable when what it takes to know can't be had
 */
export async function allow(
  core: Core,
  verified: Verified,
  asked: Asked | undefined,
  seen: Pick<Seen, 'operation'>,
): Promise<Allowed> {
  if (asked === undefined) throw notListed();
  const { operation } = asked;
  seen.operation = operation;
  checkScope(operation, verified);
  if (core.continuous !== undefined) await core.continuous(verified, asked);
  return { allowed: true, caller: { ...verified.caller, operation: operation.name }, headers: verified.headers };
}

/** Whether the token reaches this operation: nobody is asked, and nothing recorded. For what is shown to a caller. */
export function reaches(verified: Verified, asked: Asked): boolean {
  return asked.operation.scope.every((scope) => verified.token.scope.has(scope));
}

function checkScope(operation: Operation, { token }: Verified): void {
  for (const scope of operation.scope) {
    if (token.scope.has(scope)) continue;
    const needed = operation.scope.join(' ');
    throw new Refusal('insufficient_scope', `The operation "${operation.name}" needs the scope: ${needed}`, {
      reason: `missing ${scope}`,
      scope: operation.scope,
    });
  }
}

/** @see RFC 6750 §3.1: no scope would help, so no challenge names one */
export function notListed(): Refusal {
  const detail = 'The resource does not list this method and path, and refuses what it does not list.';
  return new Refusal('operation_not_listed', detail, { reason: 'no such operation' });
}
