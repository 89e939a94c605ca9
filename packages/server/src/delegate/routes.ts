/** `/mandates` over HTTP, for agents that act for people: bytes in, bytes out, and nothing decided here. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import type { Caller } from '../web/caller.ts';
import type { Answer } from '../web/idempotency.ts';
import { refuseOtherMethods, sendAnswer } from '../web/own-api.ts';
import { serviceApi, servicePrefix } from '../web/service.ts';
import { refuseRequest, withdrawRequest } from './answer.ts';
import { askForMandate } from './ask.ts';
import { endHeld } from './end.ts';
import { grantRequest } from './grant.ts';
import { listHeld, showHeld } from './held.ts';
import { passOn } from './pass-on.ts';
import { listRequests, showOneRequest } from './requests.ts';

type Asked = FastifyRequest<{ Params: { id: string } }>;
type Handler = (caller: Caller, request: Asked) => Promise<Answer>;

/** A plug-in with all that agents do with their mandates, beside using them. */
export function delegateRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const { identify, callerOf } = serviceApi(deps, app);
    const sent = ({ body, headers }: Asked) => ({ body, once: headers['idempotency-key'] });

    function offer(path: string, handlers: Partial<Record<'GET' | 'POST' | 'DELETE', Handler>>): void {
      const url = `${servicePrefix(deps.config)}/mandates${path}`;
      for (const [method, answer] of Object.entries(handlers)) {
        app.route<{ Params: { id: string } }>({
          method,
          url,
          onRequest: identify,
          handler: async (request, reply) =>
            sendAnswer(reply, await answer(callerOf(request as FastifyRequest), request as Asked)),
        });
      }
      refuseOtherMethods(app, url, Object.keys(handlers), identify);
    }

    offer('', {
      GET: (caller, { query }) => listHeld(deps, caller, query),
      POST: (caller, request) => passOn(deps, caller, sent(request)),
    });
    offer('/:id', {
      GET: (caller, { params }) => showHeld(deps, caller, params.id),
      DELETE: (caller, { params }) => endHeld(deps, caller, params.id),
    });
    offer('/requests', {
      GET: (caller, { query }) => listRequests(deps, caller, query),
      POST: (caller, request) => askForMandate(deps, caller, sent(request)),
    });
    offer('/requests/:id', {
      GET: (caller, { params }) => showOneRequest(deps, caller, params.id),
      DELETE: (caller, { params }) => withdrawRequest(deps, caller, params.id),
    });
    offer('/requests/:id/grant', {
      POST: (caller, request) => grantRequest(deps, caller, request.params.id, sent(request)),
    });
    offer('/requests/:id/refuse', {
      POST: (caller, { params, body }) => refuseRequest(deps, caller, params.id, body),
    });
  };
}
