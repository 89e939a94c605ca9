import {
  type AuthorizationDetail,
  detailOf,
  type Granted,
  grantsOperation,
  isWithin,
  type Operation,
  type OperationParameters,
  operationType,
} from '@bailiwick/protocol';
import type { Caller } from './caller.ts';
import type { Allowed, Core, Seen } from './decide.ts';
import { type Demand, meets, mustMeet } from './demands.ts';
import { Refusal } from './refusal.ts';
import { traceOf } from './reports/access.ts';
import { mustStillStand, type Verified } from './verify.ts';

/** What a verified caller wants to do: one operation, and what its parameters are in this request. */
export interface Asked {
  operation: Operation;
  /** By name: of the path, decoded, or arguments of a tool. Found only when something depends on them. */
  parameters(): OperationParameters;
  /** What the caller's authority has to be for this, beside what the guard demands. */
  demands: readonly Demand[];
}

/**
 * Asks whether a verified caller may do this now, or undefined where that needn't be asked of this operation.
 * @throws Refusal `access_denied` or `insufficient_user_authentication`; Unavailable when nobody answers in time
 */
export type ContinuousCheck = (verified: Verified, asked: Asked) => Promise<void> | undefined;

/**
 * The second half of a decision: whether a verified caller may do this.
 * @param asked undefined for what the resource doesn't list
 * @returns a promise only where somebody has to be asked
 * @throws Refusal, or Unavailable when what it takes to know can't be had
 */
export function allow(
  core: Core,
  verified: Verified,
  asked: Asked | undefined,
  seen: Seen,
): Allowed | Promise<Allowed> {
  if (asked === undefined) throw notListed();
  const { operation } = asked;
  seen.operation = operation;
  // What more scope would not help is said first.
  mustMeet(core.demands.of(operation.name), verified.token);
  mustMeet(asked.demands, verified.token);
  const granted = grantedBy(verified);
  if (!grantsOperation(operation, granted, asked.parameters)) throw beyond(asked, granted);
  const caller = callerAt(verified, operation.name, granted);
  const allowed: Allowed = { allowed: true, caller, headers: verified.headers };
  const asking = core.continuous?.(verified, asked);
  return asking === undefined ? allowed : asking.then(() => afterAsking(core, verified, allowed, seen));
}

/** The token may have ended between the decision point's answer and its arrival. */
async function afterAsking(core: Core, verified: Verified, allowed: Allowed, seen: Seen): Promise<Allowed> {
  await mustStillStand(core, verified, seen);
  return allowed;
}

/**
 * Whether a token reaches an operation with some parameters at least. It decides nothing: it is for leaving out what a caller
 * can't use anyway, before they have said what they want.
 */
export function reaches(core: Pick<Core, 'demands'>, verified: Verified, operation: Operation): boolean {
  if (!meets(core.demands.of(operation.name), verified.token)) return false;
  const { scope, details } = grantedBy(verified);
  const { name, details: needed } = operation;
  if (operation.scope.every((each) => scope.has(each))) {
    if (needed === undefined || details.some(({ type }) => type === needed.type)) return true;
  }
  return details.some(
    ({ type, actions }) => type === operationType && Array.isArray(actions) && actions.includes(name),
  );
}

/** What a verified token grants, by scope and by details. */
export function grantedBy({ token, caller, registration }: Verified): Granted {
  return { scope: token.scope, details: caller.details, types: registration.detailsTypes };
}

/** The caller of this request. */
export function callerAt(verified: Verified, operation: string, granted = grantedBy(verified)): Caller {
  const trace = traceOf(verified.request);
  return { ...verified.caller, operation, covers: covering(granted), ...(trace === undefined ? {} : { trace }) };
}

/** What only a route knows (an amount in a body) it holds against the token's details itself. */
function covering({ details, types }: Granted): (detail: AuthorizationDetail) => boolean {
  return (detail) => details.some((each) => isWithin(types, detail, each));
}

/** Says all that would reach: the scopes, and the details beside them. For those no standard has a challenge (RFC 9396 names none). */
function beyond({ operation, parameters }: Asked, { scope }: Granted): Refusal {
  const missing = operation.scope.find((each) => !scope.has(each));
  const needs = operation.scope.length > 0 ? [`the scope: ${operation.scope.join(' ')}`] : [];
  const details = operation.details === undefined ? undefined : [detailOf(operation.details, parameters())];
  if (details !== undefined) needs.push(`authorization_details that cover: ${JSON.stringify(details)}`);
  return new Refusal('insufficient_scope', `The operation "${operation.name}" needs ${needs.join(', and ')}`, {
    reason: missing === undefined ? 'no detail covers it' : `missing ${missing}`,
    scope: operation.scope,
    ...(details === undefined ? {} : { details }),
  });
}

/** No scope would help: so no challenge names one. */
export function notListed(): Refusal {
  const detail = 'The resource lists no such operation (method and path, or tool), and refuses what it does not list.';
  return new Refusal('operation_not_listed', detail, { reason: 'no such operation' });
}
