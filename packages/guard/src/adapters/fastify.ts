import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../caller.ts';
import type { Decision } from '../decide.ts';
import type { Guard } from '../guard.ts';
import { ask, requestFrom } from './core.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling, as the guard found out. Read it in guarded routes only: elsewhere reading it throws. */
    caller: Caller;
  }
}

/**
 * Guards every route of the scope that it is registered in, those registered later and unknown paths included:
 *
 *     await app.register(bailiwick, { guard })
 *
 * Routes that need no token belong in another scope. The resource's metadata is published by the same plugin.
 * @throws Error at registration where Fastify reads paths in another way than the guard does
 */
export async function bailiwick(app: FastifyInstance, options: { guard: Guard }): Promise<void> {
  const { guard } = options;
  refuseLooseRouting(app);
  const callers = new WeakMap<FastifyRequest, Caller>();
  app.decorateRequest('caller', {
    getter(this: FastifyRequest): Caller {
      const caller = callers.get(this);
      if (caller === undefined)
        throw new Error('request.caller is read in a route that the guard does not stand before');
      return caller;
    },
  });

  app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    const decision = await askAbout(guard, request);
    if (!decision.allowed) return answer(reply, decision);
    reply.headers(decision.headers);
    callers.set(request, decision.caller);
  });

  const path = new URL(guard.metadataUrl).pathname;
  if (app.hasRoute({ method: 'GET', url: path })) return;
  if (app.prefix !== '') {
    throw new Error(
      `Below the prefix ${app.prefix} ${path} can't be published: register bailiwickMetadata first, in the outermost scope.`,
    );
  }
  await bailiwickMetadata(app, options);
}

/** Publishes the resource's metadata alone, for apps that register the guard below a prefix. */
export async function bailiwickMetadata(app: FastifyInstance, { guard }: { guard: Guard }): Promise<void> {
  app.route({
    method: ['GET', 'OPTIONS'],
    url: new URL(guard.metadataUrl).pathname,
    handler: async (request, reply) => answer(reply, await askAbout(guard, request)),
  });
}

function askAbout(guard: Guard, request: FastifyRequest): Promise<Decision> {
  return ask(guard, () => requestFrom(request.raw, request.originalUrl));
}

function answer(reply: FastifyReply, decision: Decision): FastifyReply {
  if (decision.allowed) return reply.code(404).send();
  return reply.code(decision.status).headers(decision.headers).send(decision.body);
}

// Hooks and decorations shall reach the scope that registers the plugin, not only a scope of the plugin's own.
for (const plugin of [bailiwick, bailiwickMetadata]) Object.assign(plugin, { [Symbol.for('skip-override')]: true });

/** The guard decides by the path as it is written; a router that reads it more generously would let one pass as another. */
function refuseLooseRouting(app: FastifyInstance): void {
  const config = app.initialConfig as Record<string, unknown> & { routerOptions?: Record<string, unknown> };
  for (const [name, value] of [
    ['caseSensitive', false],
    ['ignoreTrailingSlash', true],
    ['ignoreDuplicateSlashes', true],
    ['useSemicolonDelimiter', true],
  ] as const) {
    if (config[name] === value || config.routerOptions?.[name] === value) {
      throw new Error(`@bailiwick/guard needs Fastify's ${name} to be ${!value}: else paths mean more than they say.`);
    }
  }
}
