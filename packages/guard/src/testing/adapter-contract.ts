/**
 * What every adapter has to do, over HTTP. An adapter is a thin shell around `decide`; this suite holds it to handing over the
 * request whole and the answer unchanged.
 */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { parseChallenges } from '@bailiwick/protocol';
import type { Caller } from '../caller.ts';
import type { DecisionRecord } from '../decide.ts';
import { createGuard, type Guard } from '../guard.ts';
import { type FakeAgent, type FakeIssuer, fakeAgent, fakeIssuer } from './fake-issuer.ts';

/**
 * Starts an API on `port` (0: any) whose guarded route `GET /api/tickets/:id` answers with what `route` returns, as JSON;
 * `POST /api/tickets/:id/close` likewise.
 */
export type StartAdapter = (
  guard: Guard,
  route: (caller: Caller) => unknown,
  port: number,
) => Promise<{ close(): Promise<void> }>;

interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

const operations = [
  { name: 'read ticket', method: 'GET', path: '/tickets/{id}', scope: ['tickets:read'], sensitivity: 'low' as const },
  {
    name: 'close ticket',
    method: 'POST',
    path: '/tickets/{id}/close',
    scope: ['tickets:write'],
    sensitivity: 'low' as const,
  },
  { name: 'purge', method: 'GET', path: '/tickets/purge', scope: ['tickets:purge'], sensitivity: 'high' as const },
];

export function adapterContract(name: string, start: StartAdapter): void {
  describe(`adapter: ${name}`, () => {
    const calls: Caller[] = [];
    const records: DecisionRecord[] = [];
    let fake: FakeIssuer;
    let agent: FakeAgent;
    let guard: Guard;
    let port: number;
    let running: { close(): Promise<void> };

    before(async () => {
      fake = await fakeIssuer();
      agent = await fakeAgent(fake);
      port = await freePort();
      const resource = `http://127.0.0.1:${port}/api`;
      const onDecision = (record: DecisionRecord) => records.push(record);
      guard = createGuard(fake.options({ resource, operations, onDecision, token: { dangerouslyBearer: true } }));
      running = await start(
        guard,
        (caller) => {
          calls.push(caller);
          return { hello: caller.agent, operation: caller.operation };
        },
        port,
      );
    });
    after(() => running.close());

    /** A request with a good token and proof; `headers` come on top. */
    async function send(method: string, path: string, headers: string[] = [], { bare = false } = {}): Promise<Reply> {
      const url = `http://127.0.0.1:${port}${path}`;
      const token = await agent.token({ aud: guard.resource });
      const proof = await agent.proof({ method, url, token });
      const credentials = bare ? [] : ['Authorization', `DPoP ${token}`, 'DPoP', proof];
      return raw(method, path, [...credentials, ...headers]);
    }

    function raw(method: string, path: string, headers: string[]): Promise<Reply> {
      return new Promise((resolve, reject) => {
        const sent = httpRequest({
          host: '127.0.0.1',
          port,
          method,
          path,
          headers: ['Host', 'elsewhere.example', ...headers],
        });
        sent.on('error', reject).on('response', async (response) => {
          let body = '';
          for await (const chunk of response.setEncoding('utf8')) body += chunk;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
        sent.end();
      });
    }

    test('what is allowed reaches the route, with its caller', async () => {
      const reply = await send('GET', '/api/tickets/7?verbose=1');
      assert.equal(reply.status, 200, reply.body);
      assert.deepEqual(JSON.parse(reply.body), { hello: 'agt_reader', operation: 'read ticket' });
      assert.equal(calls.at(-1)?.organization, 'org_default');
      assert.match(String(records.at(-1)?.address), /127\.0\.0\.1/);
    });

    for (const [what, method, path, headers, bare, status] of [
      ['no credentials', 'GET', '/api/tickets/7', [], true, 401],
      ['an unknown path, without credentials', 'GET', '/api/nothing', [], true, 401],
      ['an unknown path', 'GET', '/api/nothing', [], false, 403],
      ['a path outside of the resource', 'GET', '/other', [], true, 401],
      ['a scope that is missing', 'POST', '/api/tickets/7/close', [], false, 403],
      ['a second Authorization header', 'GET', '/api/tickets/7', ['authorization', 'Bearer x'], false, 400],
      ['a second DPoP header', 'GET', '/api/tickets/7', ['dpop', 'x'], false, 401],
      ['a token in the query', 'GET', '/api/tickets/7?access_token=x', [], true, 400],
      ['an escaped way into another operation', 'GET', '/api/tickets/%70urge', [], false, 400],
      ['two slashes', 'GET', '/api//tickets/7', [], false, 400],
      ['the letters of another operation in capitals', 'GET', '/api/tickets/PURGE', [], false, 403],
    ] as const) {
      test(`refused before the route: ${what}`, async () => {
        const before = calls.length;
        const reply = await send(method, path, [...headers], { bare });
        assert.equal(reply.status, status, reply.body);
        assert.equal(calls.length, before, 'the route was not called');
        assert.match(String(reply.headers['content-type']), /^application\/problem\+json/);
        assert.equal(JSON.parse(reply.body).status, status);
      });
    }

    test('the challenge leads to the metadata, and that is published', async () => {
      const { headers } = await send('GET', '/api/tickets/7', [], { bare: true });
      const url = parseChallenges(String(headers['www-authenticate']))[0]?.params.resource_metadata;
      const schemes = parseChallenges(String(headers['www-authenticate'])).map(({ scheme }) => scheme);
      assert.deepEqual(schemes, ['DPoP', 'Bearer'], 'several challenges arrive');
      assert.equal(url, `http://127.0.0.1:${port}/.well-known/oauth-protected-resource/api`);
      const reply = await raw('GET', new URL(url).pathname, []);
      assert.equal(reply.status, 200);
      assert.match(String(reply.headers['content-type']), /^application\/json/);
      assert.equal(JSON.parse(reply.body).resource, guard.resource);
      assert.equal((await raw('HEAD', new URL(url).pathname, [])).status, 200);
      assert.equal((await raw('OPTIONS', new URL(url).pathname, [])).status, 204);
    });

    test('a HEAD request is that of its GET', async () => {
      const reply = await send('HEAD', '/api/tickets/7');
      assert.deepEqual([reply.status, reply.body], [200, '']);
    });
  });
}

/** A port that was free a moment ago: the resource's URL has to be known before the server is there. */
async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject).listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
