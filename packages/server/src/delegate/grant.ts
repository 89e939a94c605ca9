/** Whoever is asked for a part of a mandate passes it on: as it was asked for, or less. */
import type { Deps } from '../deps.ts';
import { Unfit } from '../lib/unfit.ts';
import { requestStatus } from '../mandates/request.ts';
import type { Caller } from '../web/caller.ts';
import type { Answer } from '../web/idempotency.ts';
import { fitting, parsedBody } from '../web/invalid.ts';
import { conflict } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope } from '../web/service.ts';
import { grantBody, type PassOnBody } from './body.ts';
import { onceOnly, planned, type Sent, settlePart } from './pass-on.ts';
import { plannedPart } from './plan.ts';
import { requestTo } from './requests.ts';

/**
 * Grants a request. What the holder names takes the place of what was asked for, and is within it; all rules of passing on hold.
 * @throws Problem 404 for what is asked of others, 409 for what is no longer pending, 422 for what can't be passed on
 */
export async function grantRequest(deps: Deps, caller: Caller, id: string, sent: Sent): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'grantMandateRequest' }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const less = parsedBody(grantBody, sent.body);
    const asked = await requestTo(deps.db, caller, id);
    const request = onceOnly(caller, `/mandates/requests/${id}/grant`, sent);
    const part = async () => {
      const status = await requestStatus(deps.db, asked, deps.clock.now());
      if (status !== 'pending') throw conflict('request', `is ${status}: only one that is pending can be granted`);
      const { agent, instance } = asked;
      const to = instance === undefined ? { agent } : { instance };
      const wanted: Partial<PassOnBody> = { ...asked.wanted, ...less, ...to };
      return { ...(await plannedPart(deps, caller, await ofParent(wanted), asked)), asked };
    };
    return settlePart(deps, caller, { request, planned: await planned(part()) });
  });
}

/** @throws Problem 422 */
const ofParent = ({ parent, ...wanted }: Partial<PassOnBody>): Promise<PassOnBody> =>
  fitting(async () => {
    if (parent !== undefined) return { parent, ...wanted };
    throw new Unfit('parent', 'must say of which mandate it is granted: the request names none');
  });
