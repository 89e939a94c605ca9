/** How an administrator revokes something, whichever route it came by: what they must hold for it, and the one road that does it. */
import { LastOperatorError } from '../revocations/last-operator.ts';
import type { Effect, Target } from '../revocations/revocable.ts';
import { type Revoked, revoke } from '../revocations/revoke.ts';
import { type RevocableKind, revocable } from '../revocations/subjects.ts';
import { notFound, Problem, printable } from '../web/problem.ts';
import { lastOperator, mustHold } from './reach.ts';
import type { Call, ChangeEvent, WriteCall } from './route.ts';

export interface Wanted {
  effect: Effect;
  reason: string;
  agents?: boolean;
  prepared?: unknown;
}

/** Something that was found within the caller's reach, as `revocations/` describes it. */
export async function targetOf(call: Call, kind: RevocableKind, id: string): Promise<Target> {
  const target = await revocable(kind).find(call.q, id, call.org.id);
  if (!target) throw notFound(kind, id);
  return target;
}

/**
 * Revokes what the caller may know of. Answers what became of it, with the events to tell; none if it had ended already.
 * @throws Problem 403 for what could not be given back, 409 for what is built in and for the last operator
 */
export async function revokedBy(
  call: WriteCall,
  { kind, target }: { kind: RevocableKind; target: Target },
  wanted: Wanted,
): Promise<Omit<Revoked, 'events'> & { events: ChangeEvent[] }> {
  const row = revocable(kind);
  if (target.builtIn) throw inTheWay(kind, target, 'is built in and can not be changed');
  if (!target.over) {
    mustHold(call, (await row.power?.(call.tx, target, wanted)) ?? [], overWhat(kind, target));
    const forbidden = await row.forbids?.(call.tx, target, wanted);
    if (forbidden !== undefined) throw inTheWay(kind, target, forbidden);
  }
  try {
    const order = { ...wanted, by: call.caller.agent, now: call.now };
    const { events, ...revoked } = await revoke(call.tx, call.deps, { kind, target }, order);
    return { ...revoked, events: events.map((event) => ({ ...event, org: event.org ?? call.caller.org })) };
  } catch (error) {
    throw error instanceof LastOperatorError ? lastOperator(error) : error;
  }
}

function inTheWay(kind: RevocableKind, { name }: Target, why: string): Problem {
  const detail = `the ${kind.replaceAll('_', ' ')} ${printable(name)} ${why}`;
  return new Problem('conflict', detail, { errors: [{ field: kind, message: why }] });
}

/** It stands in the log for ever: names that may be people's stay out. */
const overWhat = (kind: RevocableKind, { name }: Target): string =>
  kind === 'agent' ? `power over ${name}` : kind === 'role' ? `power over the role ${name}` : `power over this ${kind}`;

/** The same for a route that names what it does by its path. Answers the event, if there is one. */
export async function revokedById(
  call: WriteCall,
  kind: RevocableKind,
  id: string,
  wanted: Wanted,
): Promise<readonly ChangeEvent[]> {
  return (await revokedBy(call, { kind, target: await targetOf(call, kind, id) }, wanted)).events;
}
