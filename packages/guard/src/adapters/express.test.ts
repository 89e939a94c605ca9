/** What Express does its own way: paths that it takes apart, errors, and what stands before the guard. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import express, { type NextFunction, type Request, type Response } from 'express';
import type { Guard } from '../index.ts';
import { type AdapterUnderTest, adapterWorld } from '../testing/adapter-world.ts';
import { bailiwick, type ExpressMiddleware } from './express.ts';

const adapter = (listener: (guard: Guard) => express.Express): AdapterUnderTest => ({
  name: 'Express',
  outside: 401,
  listener: async (guard) => listener(guard),
});

test('Express: the path counts as it was sent, however deep the guard stands', async (context) => {
  const deep = (guard: Guard) => {
    const tickets = express.Router();
    tickets.use(bailiwick(guard));
    tickets.get('/:id', (request, response) => response.json(request.caller.operation));
    return express().use('/api', express.Router().use('/tickets', tickets));
  };
  const world = await adapterWorld(adapter(deep));
  context.after(() => world.close());
  assert.equal((await world.send()).body, '"read ticket"');
  assert.equal((await world.send({ path: '/api/tickets/purge' })).status, 403);
});

test("Express: a router's generous reading of paths lets nothing through", async (context) => {
  const world = await adapterWorld(
    adapter((guard) => {
      const app = express().use(bailiwick(guard));
      // Express's own settings: neither letter case nor a slash at the end matters.
      app.get('/API/Tickets/Purge/', (_, response) => response.json('purged'));
      app.get('/api/tickets/:id', (_, response) => response.json('read'));
      return app;
    }),
  );
  context.after(() => world.close());
  for (const path of ['/api/tickets/Purge', '/api/tickets/purge/', '/api/tickets/PURGE/']) {
    assert.equal((await world.send({ path })).status, 403, path);
  }
});

test("Express: what a route throws goes to Express's own error handling, and once", async (context) => {
  const heard: unknown[] = [];
  const world = await adapterWorld(
    adapter((guard) => {
      const app = express().use(bailiwick(guard));
      app.get('/api/tickets/:id', () => {
        throw new Error('of the route');
      });
      app.use((error: Error, _request: Request, response: Response, _next: NextFunction) => {
        heard.push(error.message);
        response.status(500).json({});
      });
      return app;
    }),
  );
  context.after(() => world.close());
  assert.equal((await world.send()).status, 500);
  assert.deepEqual(heard, ['of the route']);
});

test('Express: an answer that was already begun is no way in', async (context) => {
  const heard: unknown[] = [];
  const world = await adapterWorld(
    adapter((guard) => {
      const app = express();
      app.use((_request, response, next) => {
        response.json('too early');
        next();
      });
      app.use(bailiwick(guard));
      app.use((_request, _response, next) => {
        heard.push('the route');
        next();
      });
      app.use((error: NodeJS.ErrnoException, _request: Request, _response: Response, _next: NextFunction) => {
        heard.push(error.code);
      });
      return app;
    }),
  );
  context.after(() => world.close());
  await world.send({ scheme: 'none' });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(heard, ['ERR_HTTP_HEADERS_SENT']);
});

test('Connect and its kin: a request that has no originalUrl is judged by its url', async () => {
  const seen: unknown[] = [];
  const guard = {
    async decide({ url }: { url: string }) {
      seen.push(url);
      throw new Error('the guard fails');
    },
  };
  const middleware: ExpressMiddleware = bailiwick(guard as unknown as Guard);
  const request = { method: 'GET', url: '/x', rawHeaders: [], socket: {} } as unknown as IncomingMessage;
  const status = await new Promise((resolve) => {
    const response = { req: request, writeHead: resolve, end: () => {} } as unknown as ServerResponse;
    middleware(request, response, () => resolve('let through'));
  });
  assert.deepEqual([seen, status], [['/x'], 500]);
});
