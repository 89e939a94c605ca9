/** An agent asks another for a part of a mandate: nothing is looked up but who is asked, so that asking tells nothing. */
import { restsOn } from '../agents/instance-standing.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { activeAgent } from '../decide/named-in-mandates.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { Unfit } from '../lib/unfit.ts';
import type { MandateRequest } from '../mandates/request.ts';
import { showRequest } from '../mandates/request-shown.ts';
import { insertRequest } from '../mandates/request-store.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import { type Answer, earlierAnswer, rememberAnswer } from '../web/idempotency.ts';
import { fitting, parsedBody } from '../web/invalid.ts';
import { ownerOf } from '../web/own-api.ts';
import { conflict, Problem } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope, serviceResource } from '../web/service.ts';
import { askBody } from './body.ts';
import { holderOf } from './held.ts';
import { onceOnly, planned, type Sent } from './pass-on.ts';

/** How many requests of one agent may wait for an answer. */
export const pendingAtMost = 100;

/**
 * Asks. With an `Idempotency-Key` once, however often it is sent.
 * @throws Problem; what is refused to a known caller is on record by then
 */
export async function askForMandate(deps: Deps, caller: Caller, sent: Sent): Promise<Answer> {
  return recorded(deps, caller, { type: 'mandate.refused', operation: 'askForMandate' }, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const body = parsedBody(askBody, sent.body);
    const once = onceOnly(caller, '/mandates/requests', sent);
    const sealing = await sealingFor(deps, caller.asOf.version, await ownerOf(deps, caller));
    const asked = await planned(requestOf(deps, caller, body));
    return deps.db.settle(async (tx) => {
      await mayWrite(tx, serviceResource(deps.config), caller);
      const earlier = once && (await earlierAnswer(tx, once, deps.clock.now()));
      if (earlier) return { ...earlier, headers: { ...earlier.headers, 'idempotent-replayed': 'true' } };
      if (asked instanceof Problem) throw asked;
      if (!(await insertRequest(tx, asked, pendingAtMost))) {
        throw conflict('agent', `has ${pendingAtMost} requests that wait already: withdraw some`);
      }
      const { id, holder, wanted, why, createdAt, answerBy } = asked;
      await appendEvent(tx, deps, sealing, {
        type: 'mandate.requested',
        outcome: 'allowed',
        org: asked.org,
        agent: caller.agent,
        instance: caller.claims.instance,
        resource: serviceResource(deps.config),
        target: id,
        jti: caller.jti,
        trace: caller.trace,
        decided_on: { scope: caller.scopes, changed: { from: holder, answer_by: answerBy } },
        // nothing of it was looked up: it may be anything that a model wrote
        personal: { address: caller.address, details: { ...wanted, ...(why !== undefined && { why }) } },
      });
      const answer: Answer = {
        status: 201,
        headers: { location: `${deps.config.issuer}/mandates/requests/${id}` },
        body: JSON.stringify(await showRequest(tx, asked, createdAt)),
      };
      if (once) await rememberAnswer(tx, once, answer);
      return answer;
    }, `mandate requests of ${caller.agent}`);
  });
}

/** @throws Problem 422 for an agent that can't be asked */
async function requestOf(
  deps: Deps,
  caller: Caller,
  { from, why, answer_within: seconds, ...wanted }: ReturnType<typeof askBody.parse>,
): Promise<MandateRequest> {
  const now = deps.clock.now();
  return fitting(async () => {
    const { instance } = await holderOf(deps.db, caller);
    if (from === caller.agent && instance === undefined) {
      throw new Unfit('from', 'must be another agent: only a running copy may ask those of its own agent');
    }
    const holder = await activeAgent({ q: deps.db, now }, caller.org, from).catch(asFrom);
    const { agent, org } = caller;
    return {
      id: newId(deps, 'mandate_request'),
      org,
      agent,
      instance: instance?.id,
      holder: holder.id,
      wanted,
      why,
      state: 'pending',
      mandate: undefined,
      reason: undefined,
      restsOn: [...new Set([org, agent, holder.id, ...(instance ? restsOn(instance) : [])])],
      rev: caller.asOf.rev,
      createdAt: now,
      answerBy: now + seconds * 1000,
      answeredAt: undefined,
    };
  });
}

function asFrom(error: unknown): never {
  throw error instanceof Unfit ? new Unfit('from', error.message) : error;
}
