/** `/events` over HTTP, for guards and agents: bytes in, bytes out, and nothing decided here. */
import { mostReportBytes } from '@bailiwick/protocol';
import type { FastifyInstance } from 'fastify';
import type { Deps } from '../deps.ts';
import { refuseOtherMethods, sendAnswer } from '../web/own-api.ts';
import { serviceApi, servicePrefix } from '../web/service.ts';
import { recordReports } from './record.ts';

/** A plug-in that takes reports. */
export function reportRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const { identify, callerOf } = serviceApi(deps, app, { bodyBytes: mostReportBytes });
    const url = `${servicePrefix(deps.config)}/events`;
    app.post(url, { onRequest: identify }, async (request, reply) => {
      const results = await recordReports(deps, callerOf(request), request.body);
      return sendAnswer(reply, { status: 200, headers: {}, body: JSON.stringify({ results }) });
    });
    refuseOtherMethods(app, url, ['POST'], identify);
  };
}
