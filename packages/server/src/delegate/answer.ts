/** A request is refused by whoever is asked, or withdrawn by whoever asked. */
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { type MandateRequest, requestStatus } from '../mandates/request.ts';
import { showRequest } from '../mandates/request-shown.ts';
import { answerRequest, findRequest } from '../mandates/request-store.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import type { Answer } from '../web/idempotency.ts';
import { parsedBody } from '../web/invalid.ts';
import { ownerOf } from '../web/own-api.ts';
import { conflict, Problem } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope, serviceResource } from '../web/service.ts';
import { refuseBody } from './body.ts';
import { holderOf } from './held.ts';
import { json, requestBy, requestTo } from './requests.ts';

/**
 * Refuses a request. Once more changes nothing.
 * @throws Problem 404 for what is asked of others, 403 for an instance with less than its agent's power, 409 for what is no longer pending
 */
export async function refuseRequest(deps: Deps, caller: Caller, id: string, body: unknown): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'refuseMandateRequest' }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const { reason } = parsedBody(refuseBody, body);
    const asked = await requestTo(deps.db, caller, id);
    const { instance } = await holderOf(deps.db, caller);
    if (instance?.allowed !== undefined) {
      throw new Problem('insufficient-scope', 'an instance that was given less than its agent refuses nothing for it');
    }
    const answered = await answer(deps, caller, asked, { state: 'refused', reason });
    return json(await showRequest(deps.db, answered, deps.clock.now()));
  });
}

/**
 * Takes a request back. One that nobody can grant any more stays as it is.
 * @throws Problem 404 for what others asked, 403 for an instance with less than its agent's power, 409 for what was granted
 */
export async function withdrawRequest(deps: Deps, caller: Caller, id: string): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'withdrawMandateRequest' }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const asked = await requestBy(deps.db, caller, id);
    const { instance } = await holderOf(deps.db, caller);
    if (instance?.allowed !== undefined && asked.instance !== instance.id) {
      throw new Problem(
        'insufficient-scope',
        'an instance that was given less than its agent withdraws only what it asked for',
      );
    }
    await answer(deps, caller, asked, { state: 'withdrawn' });
    return { status: 204, headers: {}, body: undefined };
  });
}

type Change = { state: 'refused'; reason: string | undefined } | { state: 'withdrawn' };

/** Answers the request as it is then. */
async function answer(deps: Deps, caller: Caller, { id }: MandateRequest, change: Change): Promise<MandateRequest> {
  const sealing = await sealingFor(deps, caller.asOf.version, await ownerOf(deps, caller));
  const now = deps.clock.now();
  return deps.db.settle(async (tx) => {
    await mayWrite(tx, serviceResource(deps.config), caller);
    const isNew = await answerRequest(tx, { id, now, ...change });
    const after = (await findRequest(tx, id)) as MandateRequest;
    const { state, org, agent, holder } = after;
    if (!isNew) {
      const status = await requestStatus(tx, after, now);
      if (change.state === 'withdrawn' && status !== 'granted') return after;
      if (state !== change.state) throw conflict('request', `is ${status} already`);
      return after;
    }
    const reason = change.state === 'refused' ? change.reason : undefined;
    await appendEvent(tx, deps, sealing, {
      type: change.state === 'refused' ? 'mandate.request_refused' : 'mandate.request_withdrawn',
      outcome: 'allowed',
      org,
      agent: caller.agent,
      instance: caller.claims.instance,
      resource: serviceResource(deps.config),
      target: id,
      jti: caller.jti,
      trace: caller.trace,
      decided_on: { scope: caller.scopes, changed: { agent, from: holder } },
      personal: { address: caller.address, ...(reason !== undefined && { details: { reason } }) },
    });
    return after;
  });
}
