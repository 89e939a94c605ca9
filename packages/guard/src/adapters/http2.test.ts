/** The same guard where requests come over HTTP/2: on the compatible side of `node:http2`, and in frameworks that build on it. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, constants, createSecureServer, type OutgoingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { certificateThumbprint } from '@bailiwick/protocol';
import { getRequestListener } from '@hono/node-server';
import fastify from 'fastify';
import { Hono } from 'hono';
import { createGuard, type Guard } from '../index.ts';
import { authority, client, keyOf, operations, origin, serverTls, stranger } from '../testing/adapter-world.ts';
import type { TestCertificate } from '../testing/certificates.ts';
import { fakeAgent, fakeIssuer, quiet } from '../testing/fake-issuer.ts';
import { bailiwick as fastifyGuard } from './fastify.ts';
import { bailiwick as honoGuard } from './hono.ts';

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

const adapters: Record<string, (guard: Guard) => Promise<Listener>> = {
  'guard.node': async (guard) => guard.node((_, response, caller) => response.end(caller.operation)),
  async Fastify(guard) {
    const app = fastify({ http2: true, https: serverTls });
    await app.register(fastifyGuard as never, { guard });
    app.get(
      '/api/tickets/:id',
      (request) => (request as unknown as { caller: { operation: string } }).caller.operation,
    );
    await app.ready();
    return app.routing as unknown as Listener;
  },
  async Hono(guard) {
    const app = new Hono();
    app.use(honoGuard(guard));
    app.get('/api/tickets/:id', (context) => context.text(context.get('caller').operation));
    return getRequestListener(app.fetch) as Listener;
  },
};

interface Sent {
  certificate?: TestCertificate;
  claims?: Record<string, unknown>;
  scheme?: 'DPoP' | 'Bearer';
  more?: OutgoingHttpHeaders;
}

async function api(context: TestContext, listener: (guard: Guard) => Promise<Listener>) {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options({ resource: `${origin}/api`, operations, runtime: quiet(fake) }));
  const tls = { ...serverTls, requestCert: true, rejectUnauthorized: false };
  const server = createSecureServer(tls, (await listener(guard)) as never);
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  context.after(() => server.close());
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;

  return async ({ certificate, claims = {}, scheme = 'DPoP', more = {} }: Sent) => {
    const token = await agent.token({ aud: guard.resource, ...claims });
    const proof = await agent.proof({ method: 'GET', url: `${origin}/api/tickets/7`, token });
    const session = connect(url, { ca: authority.cert, ...(certificate && keyOf(certificate)) });
    try {
      const headers = { authorization: `${scheme} ${token}`, ...(scheme === 'DPoP' && { dpop: proof }), ...more };
      return await answerTo(session.request({ ':path': '/api/tickets/7', ...headers }));
    } finally {
      session.close();
    }
  };
}

function answerTo(stream: ReturnType<ReturnType<typeof connect>['request']>) {
  return new Promise<{ status: number; body: string }>((resolve) => {
    let status = 0;
    let body = '';
    stream.on('response', (headers) => {
      status = Number(headers[constants.HTTP2_HEADER_STATUS]);
    });
    stream.setEncoding('utf8').on('data', (text) => (body += text));
    stream.on('end', () => resolve({ status, body })).on('error', () => resolve({ status: 0, body }));
    stream.end();
  });
}

const x5t = { 'x5t#S256': certificateThumbprint(client.der) };
/** 0 where the protocol itself refuses. Where more than one answer is right, the route must be the one that was asked for. */
const rows: [what: string, sent: Sent, ...status: number[]][] = [
  ['a token bound to a key', {}, 200],
  ['a token bound to the certificate', { scheme: 'Bearer', claims: { cnf: x5t }, certificate: client }, 200],
  ['another certificate', { scheme: 'Bearer', claims: { cnf: x5t }, certificate: stranger }, 401],
  ['no certificate', { scheme: 'Bearer', claims: { cnf: x5t } }, 401],
  [
    'a certificate in a header',
    { scheme: 'Bearer', claims: { cnf: x5t }, more: { 'client-cert': `:${client.der.toString('base64')}:` } },
    401,
  ],
  ['no proof', { more: { dpop: [] } }, 401],
  ['a method in small letters, which some raise', { more: { ':method': 'get' } }, 401, 404, 200],
  ['another path than the proof', { more: { ':path': '/api/tickets/8' } }, 401],
  ['a path with two readings', { more: { ':path': '/api/tickets/x/%2e%2e/7' } }, 400],
  ['an authority with a path', { more: { ':authority': 'x/api/tickets/purge?' } }, 0, 400, 200],
];

for (const [name, listener] of Object.entries(adapters)) {
  test(`HTTP/2, ${name}`, async (context) => {
    const send = await api(context, listener);
    for (const [what, sent, ...statuses] of rows) {
      const reply = await send(sent);
      assert.ok(statuses.includes(reply.status), `${what}: ${reply.status} ${reply.body}`);
      if (reply.status === 200) assert.equal(reply.body, 'read ticket', what);
    }
  });
}
