/** Requests for parts of mandates, as whoever asked and whoever is asked see them. */
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { copiesOf } from '../mandates/holder.ts';
import type { MandateRequest } from '../mandates/request.ts';
import { type ShownRequest, selectedStatus, showRequest } from '../mandates/request-shown.ts';
import { findRequest, selectRequests } from '../mandates/request-store.ts';
import type { Queries } from '../store/database.ts';
import type { Caller } from '../web/caller.ts';
import type { Answer } from '../web/idempotency.ts';
import { parsedQuery } from '../web/invalid.ts';
import { pageLimits, pageOf, readCursor } from '../web/paging.ts';
import { notFound } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope } from '../web/service.ts';
import { requestsQuery } from './body.ts';
import { holderOf } from './held.ts';

/** Those that wait for the caller's answer; or, on the side of whoever asks, those that it made. */
export async function listRequests(deps: Deps, caller: Caller, query: unknown): Promise<Answer> {
  const what = { type: 'mandate.refused', operation: 'listMandateRequests', reads: true } as const;
  return recorded(deps, caller, what, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const { side, status, limit = pageLimits.default, cursor } = parsedQuery(requestsQuery, query);
    const now = deps.clock.now();
    const { agent, instance } = await holderOf(deps.db, caller);
    const found = await selectRequests(deps.db, {
      org: caller.org,
      ...(side === 'asked' ? { holder: agent } : { agent, instances: copiesOf(instance) }),
      status: selectedStatus(status),
      now,
      after: readCursor('mandate_request', cursor),
      limit: limit + 1,
    });
    const shown = new Map<string, ShownRequest>();
    for (const each of found) shown.set(each.id, await showRequest(deps.db, each, now));
    const { items, ...page } = pageOf(found, limit, ({ id }) => shown.get(id));
    return json({ items: items.filter((item) => item?.status === status), ...page });
  });
}

/** @throws Problem 404 for what isn't there, and for what is neither asked of the caller nor by it */
export async function showOneRequest(deps: Deps, caller: Caller, id: string): Promise<Answer> {
  const what = { type: 'mandate.refused', operation: 'showMandateRequest', reads: true } as const;
  return recorded(deps, caller, what, async () => {
    mustHaveScope(deps, caller, 'mandates:pass');
    const request = await knownRequest(deps.db, id);
    if (!request || !(isAsked(request, caller) || (await isBy(deps.db, request, caller)))) throw unknown(id);
    return json(await showRequest(deps.db, request, deps.clock.now()));
  });
}

/** One that this agent is to answer. @throws Problem 404 */
export async function requestTo(q: Queries, caller: Caller, id: string): Promise<MandateRequest> {
  const request = await knownRequest(q, id);
  if (request && isAsked(request, caller)) return request;
  throw unknown(id);
}

/** One that this agent made; if a running copy did, that one or one below it. @throws Problem 404 */
export async function requestBy(q: Queries, caller: Caller, id: string): Promise<MandateRequest> {
  const request = await knownRequest(q, id);
  if (request && (await isBy(q, request, caller))) return request;
  throw unknown(id);
}

const knownRequest = async (q: Queries, id: string) => (isId('mandate_request', id) ? findRequest(q, id) : undefined);

const isAsked = ({ org, holder }: MandateRequest, caller: Caller) => org === caller.org && holder === caller.agent;

async function isBy(q: Queries, { org, agent, instance }: MandateRequest, caller: Caller): Promise<boolean> {
  if (org !== caller.org || agent !== caller.agent) return false;
  return instance === undefined || copiesOf((await holderOf(q, caller)).instance).includes(instance);
}

const unknown = (id: string) => notFound('request', id);

export const json = (body: object): Answer => ({ status: 200, headers: {}, body: JSON.stringify(body) });
