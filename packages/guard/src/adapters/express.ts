import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../caller.ts';
import type { Guard } from '../guard.ts';
import { ask, metadataTeller, requestFrom, sendAnswer } from './core.ts';

declare global {
  // biome-ignore lint/style/noNamespace: Express's types are extended there
  namespace Express {
    interface Request {
      /** Who is calling, as the guard found out. Only behind the guard: elsewhere there is none. */
      caller: Caller;
    }
  }
}

/** A middleware as Express (4 and 5) and Connect take it. */
export type ExpressMiddleware = (
  request: IncomingMessage & { originalUrl?: string },
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Guards everything that comes after it, unknown paths included:
 *
 *     app.use(bailiwick(guard));
 *
 * Put it first: what comes before it (routes, parsers of bodies) is open to everybody. Below a path (`app.use('/api', …)`) publish
 * the resource's metadata with `bailiwickMetadata` too.
 */
export function bailiwick(guard: Guard): ExpressMiddleware {
  return (request, response, next) => {
    ask(guard, () => requestFrom(request, request.originalUrl))
      .then((decision) => {
        if (!decision.allowed) return sendAnswer(response, decision);
        for (const [name, value] of Object.entries(decision.headers)) response.setHeader(name, value);
        (request as { caller?: Caller }).caller = decision.caller;
        next();
      })
      .catch(next);
  };
}

/** Publishes the resource's metadata alone, for apps in which the guard stands below a path: `app.use(bailiwickMetadata(guard))`. */
export function bailiwickMetadata(guard: Guard): ExpressMiddleware {
  const guarded = bailiwick(guard);
  const isForMetadata = metadataTeller(guard);
  return (request, response, next) => {
    if (isForMetadata(request.originalUrl ?? request.url ?? '')) guarded(request, response, next);
    else next();
  };
}
