import type { IncomingMessage } from 'node:http';
import type { Context, MiddlewareHandler } from 'hono';
import type { Caller } from '../caller.ts';
import type { Guard } from '../guard.ts';
import { type GuardRequest, pathOf } from '../request.ts';
import { ask, headersIn, metadataTeller, requestFrom, responseOf, targetOf } from './core.ts';

declare module 'hono' {
  interface ContextVariableMap {
    /** Who is calling, as the guard found out. Only behind the guard: elsewhere there is none. */
    caller: Caller;
  }
}

/** What a runtime other than Node.js knows of the connection that a request came on. */
export type Connection = Pick<GuardRequest, 'remoteAddress' | 'certificate'>;

export interface HonoOptions {
  /**
   * Where the app isn't served by `@hono/node-server`: the connection of a request. Without it there is no address and no certificate:
   * tokens that are limited to addresses, or bound to certificates, are refused, and no proxy is believed.
   */
  connection?: (context: Context) => Connection;
}

/**
 * Guards everything that comes after it and that its path covers, unknown paths included:
 *
 *     app.use(bailiwick(guard));
 *
 * Put it first: routes before it are open to everybody. Below a path publish the resource's metadata with `bailiwickMetadata` too.
 */
export function bailiwick(guard: Guard, options: HonoOptions = {}): MiddlewareHandler {
  return async (context, next) => {
    const decision = await ask(guard, () => requestOf(context, options));
    if (!decision.allowed) return responseOf(decision);
    context.set('caller', decision.caller);
    await next();
    // Afterwards: a route that makes a Response of its own would lose what was set before.
    for (const [name, value] of Object.entries(decision.headers)) context.header(name, value);
    return;
  };
}

/** Publishes the resource's metadata alone, for apps in which the guard stands below a path: `app.use(bailiwickMetadata(guard))`. */
export function bailiwickMetadata(guard: Guard, options: HonoOptions = {}): MiddlewareHandler {
  const guarded = bailiwick(guard, options);
  const isForMetadata = metadataTeller(guard);
  return (context, next) => (isForMetadata(targetOf(context.req.url)) ? guarded(context, next) : next());
}

function requestOf(context: Context, { connection }: HonoOptions): GuardRequest {
  const { raw } = context.req;
  const target = targetOf(raw.url);
  const incoming = incomingOf(context);
  if (incoming === undefined) {
    return { method: raw.method, url: target, headers: headersIn(raw.headers), ...connection?.(context) };
  }
  const sent = requestFrom(incoming);
  // What was sent is what the guard judges, repeated headers and all; what is routed is what Hono made of it. An app that is mounted in
  // another sees the end of the path. Where they differ otherwise (by a Host header with a path in it, say), it is refused.
  const agrees = pathOf(sent.url).endsWith(pathOf(target));
  return { ...sent, method: raw.method, url: agrees ? sent.url : '' };
}

/** The request of `node:http` or `node:http2` below, where `@hono/node-server` serves. */
function incomingOf(context: Context): IncomingMessage | undefined {
  const incoming = (context.env as { incoming?: Partial<IncomingMessage> } | undefined)?.incoming;
  return Array.isArray(incoming?.rawHeaders) && incoming.socket != null ? (incoming as IncomingMessage) : undefined;
}
