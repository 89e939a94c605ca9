/** An agent passes a part of its mandate on: known, allowed, looked up, then one transaction. */

import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { endedSince } from '../liveness/liveness.ts';
import { openLedger } from '../mandates/ledger.ts';
import type { MandateRequest } from '../mandates/request.ts';
import { answerRequest } from '../mandates/request-store.ts';
import { registerMandate } from '../mandates/standing.ts';
import { countPassedOn, insertMandate } from '../mandates/store.ts';
import { toldMandate } from '../mandates/told.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import {
  type Answer,
  earlierAnswer,
  type IdempotentRequest,
  idempotentRequest,
  rememberAnswer,
} from '../web/idempotency.ts';
import { parsedBody } from '../web/invalid.ts';
import { ownerOf } from '../web/own-api.ts';
import { conflict, Problem } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope, serviceResource } from '../web/service.ts';
import { passOnBody } from './body.ts';
import { shown } from './held.ts';
import { type PlannedPart, plannedPart } from './plan.ts';

/** How many that live may have been passed on from one. */
const passedOnAtMost = 1000;

/** What is sent, and with which `Idempotency-Key`. */
export interface Sent {
  body: unknown;
  once: string | string[] | undefined;
}

/**
 * Passes a part on. With an `Idempotency-Key` once, however often it is asked for.
 * @throws Problem; what is refused to a known caller is on record by then
 */
export async function passOn(deps: Deps, caller: Caller, { body, once }: Sent): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'passOnMandate' }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const wanted = parsedBody(passOnBody, body);
    const request = onceOnly(caller, '/mandates', { body, once });
    return settlePart(deps, caller, { request, planned: await planned(plannedPart(deps, caller, wanted)) });
  });
}

/** The same request of the same copy, if it says that it is one. @throws Problem 400 */
export const onceOnly = (caller: Caller, url: string, { body, once }: Sent): IdempotentRequest | undefined =>
  idempotentRequest(once, caller.claims.instance ?? caller.agent, { method: 'POST', url, body });

/** A refusal waits: whoever asks again hears what was answered before, whatever has changed since. */
export const planned = <Planned>(planning: Promise<Planned>): Promise<Planned | Problem> =>
  planning.catch((error: unknown) => {
    if (error instanceof Problem) return error;
    throw error;
  });

/**
 * Writes a part that was planned, in one transaction.
 * @param to.asked the request that it is granted to, if it is: only one that is still pending
 * @throws Problem
 */
export async function settlePart(
  deps: Deps,
  caller: Caller,
  to: { request: IdempotentRequest | undefined; planned: (PlannedPart & { asked?: MandateRequest }) | Problem },
): Promise<Answer> {
  const { request, planned } = to;
  const mandate = planned instanceof Problem ? undefined : planned.mandate;
  // what is personal of it goes with the person; of a refusal there is nothing to seal here
  const sealing = await sealingFor(deps, caller.asOf.version, mandate?.person ?? (await ownerOf(deps, caller)));
  // as a task, it moves no version of the registry
  return deps.db.settle(async (tx) => {
    await mayWrite(tx, serviceResource(deps.config), caller);
    const earlier = request && (await earlierAnswer(tx, request, deps.clock.now()));
    if (earlier) return { ...earlier, headers: { ...earlier.headers, 'idempotent-replayed': 'true' } };
    if (planned instanceof Problem) throw planned;
    const { mandate, restsOn, asked } = planned;
    const { id, org, parent, person, createdAt: now } = mandate;
    // whoever asked, and is asked, is among these too
    if (await endedSince(tx, restsOn, caller.asOf.rev)) throw conflict('parent', 'was changed meanwhile: ask again');
    if ((await countPassedOn(tx, parent as string, now, passedOnAtMost)) >= passedOnAtMost) {
      throw conflict('parent', `has been passed on ${passedOnAtMost} times already: end some`);
    }
    if (asked && !(await answerRequest(tx, { id: asked.id, state: 'granted', mandate: id, now }))) {
      throw conflict('request', 'was answered, withdrawn or over meanwhile');
    }
    await insertMandate(tx, mandate);
    await openLedger(tx, mandate);
    await registerMandate(tx, mandate);
    const { changed, details } = toldMandate(mandate);
    await appendEvent(tx, deps, sealing, {
      type: 'mandate.given',
      outcome: 'allowed',
      org,
      agent: caller.agent,
      instance: caller.claims.instance,
      resource: serviceResource(deps.config),
      target: id,
      jti: caller.jti,
      trace: caller.trace,
      decided_on: { scope: caller.scopes, changed: { ...changed, ...(asked && { request: asked.id }) } },
      personal: { person, ...(Object.keys(details).length > 0 && { details }) },
    });
    const answer: Answer = {
      status: 201,
      headers: { location: `${deps.config.issuer}/mandates/${id}` },
      body: JSON.stringify(await shown(tx, mandate, now)),
    };
    if (request) await rememberAnswer(tx, request, answer);
    return answer;
  }, mandate && `mandates of ${mandate.parent}`);
}
