/** One table of what an adapter has to do, run against all of them. What only one of them does stands in its own test file. */
import { getRequestListener } from '@hono/node-server';
import express from 'express';
import fastify, { type FastifyInstance } from 'fastify';
import { Hono } from 'hono';
import { sendAnswer } from '../index.ts';
import { adapterContract } from '../testing/adapter-contract.ts';
import type { Seen } from '../testing/adapter-world.ts';
import { bailiwick as expressGuard, bailiwickMetadata as expressMetadata } from './express.ts';
import { bailiwick as fastifyGuard, bailiwickMetadata as fastifyMetadata } from './fastify.ts';
import { bailiwick as honoGuard, bailiwickMetadata as honoMetadata } from './hono.ts';

adapterContract({
  name: 'node:http, guard.node',
  outside: 401,
  listener: async (guard, seen) =>
    guard.node((request, response, caller) => {
      if (request.url?.endsWith('/echo')) request.pipe(response);
      else response.end(JSON.stringify(seen(caller)));
    }),
});

adapterContract({
  name: 'node:http, guard.check',
  outside: 401,
  listener: async (guard, seen) => async (request, response) => {
    const decision = await guard.check(request);
    if (!decision.allowed) return sendAnswer(response, decision);
    for (const [name, value] of Object.entries(decision.headers)) response.setHeader(name, value);
    if (request.url?.endsWith('/echo')) request.pipe(response);
    else response.end(JSON.stringify(seen(decision.caller)));
  },
});

function fastifyRoutes(app: FastifyInstance, path: string, seen: Seen): void {
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.get(`${path}/tickets/purge`, (request) => seen(request.caller));
  app.get(`${path}/tickets/:id`, (request) => seen(request.caller));
  app.post(`${path}/tickets/:id/close`, (request) => seen(request.caller));
  app.post(`${path}/tickets/:id/echo`, (request, reply) => reply.send(request.body));
}

adapterContract({
  name: 'Fastify',
  outside: 401,
  async listener(guard, seen) {
    const app = fastify();
    await app.register(fastifyGuard, { guard });
    fastifyRoutes(app, '/api', seen);
    await app.ready();
    return app.routing;
  },
});

adapterContract({
  name: 'Fastify, below a prefix',
  outside: 404,
  async listener(guard, seen) {
    const app = fastify();
    await app.register(fastifyMetadata, { guard });
    await app.register(
      async (scope) => {
        await scope.register(fastifyGuard, { guard });
        scope.setNotFoundHandler((_request, reply) => reply.code(404).send());
        fastifyRoutes(scope, '', seen);
      },
      { prefix: '/api' },
    );
    await app.ready();
    return app.routing;
  },
});

function expressRoutes(seen: Seen): express.Router {
  const router = express.Router();
  router.get('/tickets/purge', (request, response) => response.json(seen(request.caller)));
  router.get('/tickets/:id', (request, response) => response.json(seen(request.caller)));
  router.post('/tickets/:id/close', (request, response) => response.json(seen(request.caller)));
  router.post('/tickets/:id/echo', (request, response) => request.pipe(response));
  return router;
}

adapterContract({
  name: 'Express',
  outside: 401,
  listener: async (guard, seen) => express().use(expressGuard(guard)).use('/api', expressRoutes(seen)),
});

adapterContract({
  name: 'Express, below a path',
  outside: 404,
  listener: async (guard, seen) =>
    express().use(expressMetadata(guard)).use('/api', expressGuard(guard), expressRoutes(seen)),
});

function honoRoutes<App extends Hono>(app: App, path: string, seen: Seen): App {
  app.get(`${path}/tickets/purge`, (context) => context.json(seen(context.get('caller'))));
  app.get(`${path}/tickets/:id`, (context) => Response.json(seen(context.var.caller)));
  app.post(`${path}/tickets/:id/close`, (context) => context.json(seen(context.get('caller'))));
  app.post(`${path}/tickets/:id/echo`, (context) => new Response(context.req.raw.body));
  return app;
}

adapterContract({
  name: 'Hono',
  outside: 401,
  async listener(guard, seen) {
    const app = new Hono();
    app.use(honoGuard(guard));
    return getRequestListener(honoRoutes(app, '/api', seen).fetch);
  },
});

adapterContract({
  name: 'Hono, below a base path',
  outside: 404,
  async listener(guard, seen) {
    const app = new Hono();
    app.use(honoMetadata(guard));
    const api = app.basePath('/api');
    api.use(honoGuard(guard));
    honoRoutes(api, '', seen);
    return getRequestListener(app.fetch);
  },
});
