/** What agents ask each other for of mandates, as administrators and owners see it. Only agents answer it (`delegate/`). */
import { requestStatuses } from '../mandates/request.ts';
import { type ShownRequest, selectedStatus, shownRequest, showRequest } from '../mandates/request-shown.ts';
import { selectRequests } from '../mandates/request-store.ts';
import { pageOf } from '../web/paging.ts';
import { idOf, oneOf } from './fields.ts';
import { ownerLimit } from './mandate.ts';
import { read } from './route.ts';
import { listQuery, pageFilter, pageOfSchema } from './shapes.ts';

export const mandateRequestRoutes = [
  read({
    id: 'listMandateRequests',
    path: '/mandates/requests',
    summary: 'List what agents ask each other for',
    description:
      'Requests of agents for parts of mandates that other agents hold. Only whoever is asked grants or refuses one. They are listed for a while after their time (`instances.keep_ended_seconds`).',
    scopes: ['mandates:read'],
    orScope: 'mandates:own',
    query: listQuery({
      agent: idOf('agent').optional().meta({ description: 'Who asks.' }),
      from: idOf('agent').optional().meta({ description: 'Who is asked.' }),
      status: oneOf(requestStatuses).optional(),
    }),
    response: pageOfSchema(shownRequest),
    async handler(call, { query }) {
      const { shown: most, ...page } = pageFilter('mandate_request', query);
      const { agent, from, status } = query;
      const requests = await selectRequests(call.q, {
        ...{ org: call.org.id, agent, holder: from, now: call.now, ...page },
        owner: await ownerLimit(call),
        status: selectedStatus(status),
      });
      const shown = new Map<string, ShownRequest>();
      for (const each of requests) shown.set(each.id, await showRequest(call.q, each, call.now));
      const { items, ...rest } = pageOf(requests, most, ({ id }) => shown.get(id) as ShownRequest);
      // only a look at everything that it rests on tells what is stopped
      return { items: status === undefined ? items : items.filter((item) => item.status === status), ...rest };
    },
  }),
] as const;
