import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../caller.ts';
import type { Decision } from '../decide.ts';
import { sendAnswer } from './core.ts';

/** A handler of `node:http` that is told who is calling. */
export type Route = (request: IncomingMessage, response: ServerResponse, caller: Caller) => unknown;

/** The handler that asks the guard first. What the route throws becomes a 500 that says nothing. */
export function nodeHandler(
  guard: { check(request: IncomingMessage): Promise<Decision> },
  route: Route,
  report: (problem: string) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const decision = await guard.check(request);
    if (!decision.allowed) return sendAnswer(response, decision);
    for (const [name, value] of Object.entries(decision.headers)) response.setHeader(name, value);
    await route(request, response, decision.caller);
  }

  return (request, response) => {
    answer(request, response).catch((error: unknown) => {
      report(`The route failed: ${error instanceof Error ? error.stack : String(error)}`);
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { 'content-type': 'application/problem+json' }).end(internalError);
    });
  };
}

const internalError = JSON.stringify({
  type: 'about:blank',
  title: 'Internal Server Error',
  status: 500,
  detail: 'The request was allowed, but carrying it out failed.',
});
