/**
 * What every adapter has to do, over real connections. An adapter is a thin shell around `decide`; this suite holds it to handing over the
 * request whole and the answer unchanged.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Challenge, parseChallenges } from '@bailiwick/protocol';
import type { Guard } from '../guard.ts';
import { certificateContract } from './adapter-certificates.ts';
import {
  type AdapterUnderTest,
  type AdapterWorld,
  adapterWorld,
  origin,
  type Reply,
  type Sent,
} from './adapter-world.ts';

type Row = [what: string, sent: (world: AdapterWorld) => Sent, status: number, error?: string];

const now = ({ fake }: AdapterWorld) => Math.floor(fake.clock.now() / 1000);

const refusedRows: Row[] = [
  ['no token', () => ({ scheme: 'none' }), 401],
  ['no token for an unknown path', () => ({ scheme: 'none', path: '/api/nothing' }), 401],
  ['another scheme', () => ({ scheme: 'Basic' }), 401],
  ['a bound token as Bearer', () => ({ scheme: 'Bearer' }), 401, 'invalid_token'],
  ['a token bound to nothing', () => ({ scheme: 'Bearer', bound: 'nothing' }), 401, 'invalid_token'],
  ['a token that has expired', (world) => ({ claims: { exp: now(world) - 60 } }), 401, 'invalid_token'],
  ['a token for another audience', () => ({ claims: { aud: 'https://other.example' } }), 401, 'invalid_token'],
  ['a token for the audience above', () => ({ claims: { aud: origin } }), 401, 'invalid_token'],
  ['a token in the query', () => ({ scheme: 'none', path: '/api/tickets/7?access_token=x' }), 400, 'invalid_request'],
  ['a second Authorization header', () => ({ headers: ['authorization', 'Bearer x'] }), 400, 'invalid_request'],
  ['a second DPoP header', () => ({ headers: ['dpop', 'x'] }), 401, 'invalid_dpop_proof'],
  ['a proof for another method', () => ({ proof: { htm: 'POST' } }), 401, 'invalid_dpop_proof'],
  ['a proof for another path', () => ({ proof: { htu: `${origin}/api/tickets/8` } }), 401, 'invalid_dpop_proof'],
  [
    'a proof for the Host header',
    () => ({ proof: { htu: 'http://elsewhere.example/api/tickets/7' } }),
    401,
    'invalid_dpop_proof',
  ],
  ['a scope that is missing', () => ({ method: 'POST', path: '/api/tickets/7/close' }), 403, 'insufficient_scope'],
  ['an unknown path', () => ({ path: '/api/nothing' }), 403],
  ['an unknown method', () => ({ method: 'PATCH' }), 403],
  ['HEAD where only POST is listed', () => ({ method: 'HEAD', path: '/api/tickets/7/close' }), 403],
  [
    'an address that the token does not name',
    () => ({ claims: { ctx: { ip: ['192.0.2.0/24'] } } }),
    401,
    'invalid_token',
  ],
  [
    'that address in a header of the client',
    () => ({ claims: { ctx: { ip: ['192.0.2.0/24'] } }, headers: ['x-forwarded-for', '192.0.2.1'] }),
    401,
    'invalid_token',
  ],
];

/** Ways of writing a path so that guard and router might read two different ones. Some servers refuse them by themselves. */
const trickPaths = [
  '/api/tickets/%70urge',
  '/api/tickets/PURGE',
  '/api/tickets/purge/',
  '/api/tickets/purge;x=1',
  '/api/tickets/purge%2f',
  '/api/tickets/7/../purge',
  '/api/tickets/7/%2e%2e/purge',
  '/api/tickets/7/.%2E/purge',
  '/api/tickets/./purge',
  '/api/tickets//purge',
  '//api/tickets/purge',
  '/api/tickets/\\purge',
  '/api/tickets/7/..\\purge',
  '/api/tickets/purge#x',
  '/API/tickets/purge',
  'http://elsewhere.example/api/tickets/purge',
  'tickets/purge',
  '*',
];

export function adapterContract(adapter: AdapterUnderTest): void {
  describe(`adapter: ${adapter.name}`, () => {
    let world: AdapterWorld;
    before(async () => {
      world = await adapterWorld(adapter);
    });
    after(() => world.close());

    test('what is allowed reaches the route, with its caller', async () => {
      const claims = { instance: 'ins_1', sub: 'spiffe://id.example/default/reader/ins_1' };
      const reply = await world.send({ path: '/api/tickets/7?verbose=1', claims });
      assert.equal(reply.status, 200, reply.body);
      assert.deepEqual(JSON.parse(reply.body), { operation: 'read ticket' });
      const { agent, organization, instance, spiffeId, proof } = world.callers.at(-1)!;
      assert.deepEqual(
        { agent, organization, instance, spiffeId, proof },
        {
          agent: 'agt_reader',
          organization: 'org_default',
          instance: 'ins_1',
          spiffeId: 'spiffe://id.example/default/reader/ins_1',
          proof: 'dpop',
        },
      );
    });

    for (const [what, sent, status, error] of refusedRows) {
      test(`refused before the route: ${what}`, async () => {
        const seen = world.callers.length;
        const reply = await world.send(sent(world));
        assert.equal(reply.status, status, reply.body);
        assert.equal(world.callers.length, seen, 'the route was not called');
        if (sent(world).method !== 'HEAD') checkProblem(reply, status, error);
        checkChallenge(reply, status, error);
      });
    }

    test('refused for a missing scope: the challenge names the scope', async () => {
      const reply = await world.send({ method: 'POST', path: '/api/tickets/7/close' });
      const [dpop] = challengesOf(reply);
      assert.deepEqual([dpop?.params.error, dpop?.params.scope], ['insufficient_scope', 'tickets:write']);
    });

    test('refused outside of the resource', async () => {
      assert.equal((await world.send({ scheme: 'none', path: '/other' })).status, adapter.outside);
    });

    for (const path of trickPaths) {
      test(`a path that might be read in two ways opens nothing: ${path}`, async () => {
        const seen = world.callers.length;
        const headers = await world.headersFor({ path });
        const reply = await overSocket(world.port, `GET ${path} HTTP/1.1`, headers);
        assert.match(reply, /^HTTP\/1\.1 40[0134] /, reply);
        assert.equal(world.callers.length, seen, 'no route was called');
      });
    }

    for (const host of ['elsewhere.example/api/tickets/purge?', 'a@b', 'a/../tickets/purge#', '[::1', '']) {
      test(`a Host header leads nowhere else: ${host}`, async () => {
        const seen = world.callers.length;
        const { status, body } = await world.send({ host });
        assert.ok(status === 400 || (status === 200 && body.includes('read ticket')), `${status} ${body}`);
        assert.ok(world.callers.slice(seen).every(({ operation }) => operation === 'read ticket'));
      });
    }

    test('a HEAD request is that of its GET', async () => {
      const reply = await world.send({ method: 'HEAD' });
      assert.deepEqual([reply.status, reply.body], [200, '']);
    });

    test('a method in small letters, or in a header, is not another one', async () => {
      const headers = await world.headersFor({ method: 'get' });
      assert.match(await overSocket(world.port, 'get /api/tickets/7 HTTP/1.1', headers), /^HTTP\/1\.1 40[0135] /);
      const reply = await world.send({ headers: ['x-http-method-override', 'POST', 'x-method-override', 'POST'] });
      assert.deepEqual(JSON.parse(reply.body), { operation: 'read ticket' });
    });

    test('a proof is good once', async () => {
      const headers = await world.headersFor({});
      const first = await overSocket(world.port, 'GET /api/tickets/7 HTTP/1.1', headers);
      const second = await overSocket(world.port, 'GET /api/tickets/7 HTTP/1.1', headers);
      assert.match(first, /^HTTP\/1\.1 200 /);
      assert.match(second, /^HTTP\/1\.1 401 [\s\S]*error="invalid_dpop_proof"/);
    });

    test('a body is left to the route, and streams', async () => {
      const path = '/api/tickets/7/echo';
      const sent = await world.headersFor({ method: 'POST', path, headers: ['Transfer-Encoding', 'chunked'] });
      const headers = [...sent, 'Content-Type', 'application/octet-stream'];
      const request = http.request({
        host: 'localhost',
        port: world.port,
        method: 'POST',
        path,
        headers,
        agent: false,
      });
      const answered = new Promise<http.IncomingMessage>((resolve, reject) =>
        request.on('response', resolve).on('error', reject),
      );
      request.write('first,');
      const response = await answered;
      assert.equal(response.statusCode, 200);
      let echoed = '';
      for await (const chunk of response.setEncoding('utf8')) {
        // Only once the first part is back, the last is sent: nobody has waited for the whole.
        if (echoed === '') request.end('last');
        echoed += chunk;
      }
      assert.equal(echoed, 'first,last');
    });

    test('the metadata is published, where the challenge says', async () => {
      const [challenge] = challengesOf(await world.send({ scheme: 'none' }));
      const url = challenge?.params.resource_metadata ?? '';
      assert.equal(url, `${origin}/.well-known/oauth-protected-resource/api`);
      const path = new URL(url).pathname;
      const reply = await world.send({ scheme: 'none', path });
      assert.equal(reply.status, 200);
      assert.match(String(reply.headers['content-type']), /^application\/json/);
      const { resource, dpop_bound_access_tokens_required } = JSON.parse(reply.body);
      assert.deepEqual([resource, dpop_bound_access_tokens_required], [world.guard.resource, true]);
      assert.equal((await world.send({ scheme: 'none', path, method: 'HEAD' })).status, 200);
      assert.equal((await world.send({ scheme: 'none', path, method: 'OPTIONS' })).status, 204);
    });
  });

  describe(`adapter: ${adapter.name}, whose guard asks for nonces, or takes Bearer`, () => {
    test('a nonce comes with the refusal, and with the answer', async (context) => {
      const world = await adapterWorld(adapter, { dpop: { nonce: 'required' } });
      context.after(() => world.close());
      const refused = await world.send();
      const nonce = String(refused.headers['dpop-nonce']);
      assert.equal(refused.status, 401);
      assert.equal(challengesOf(refused)[0]?.params.error, 'use_dpop_nonce');
      const allowed = await world.send({ proof: { nonce } });
      assert.deepEqual([allowed.status, allowed.headers['dpop-nonce']], [200, nonce]);
    });

    test('several challenges arrive', async (context) => {
      const world = await adapterWorld(adapter, { token: { dangerouslyBearer: true } });
      context.after(() => world.close());
      const reply = await world.send({ scheme: 'none' });
      assert.deepEqual(
        challengesOf(reply).map(({ scheme }) => scheme),
        ['Bearer', 'DPoP'],
      );
      assert.equal((await world.send({ scheme: 'Bearer', bound: 'nothing' })).status, 200);
      assert.equal(world.callers.at(-1)?.proof, 'none');
    });
  });

  describe(`adapter: ${adapter.name}, whose guard demands a person`, () => {
    test('an agent of its own accord does not reach the route, and one that acts for somebody does', async (context) => {
      const world = await adapterWorld(adapter, { demands: { person: true } });
      context.after(() => world.close());
      const refused = await world.send();
      assert.equal(world.callers.length, 0, 'the route was not called');
      checkProblem(refused, 403, 'access_denied');
      assert.equal(refused.headers['www-authenticate'], undefined, 'no scope would help');
      const act = { sub: 'spiffe://id.example/default/reader', act: { sub: 'spiffe://id.example/default/lead' } };
      const allowed = await world.send({ claims: { sub: 'per_1', sub_profile: 'user', mandate: 'mdt_1', act } });
      assert.equal(allowed.status, 200, allowed.body);
      const { person, mandate, agent, chain } = world.callers.at(-1)!;
      assert.deepEqual([person, mandate, agent], ['per_1', 'mdt_1', 'agt_reader']);
      assert.deepEqual(chain, [{ subject: act.sub }, { subject: act.act.sub }]);
    });
  });

  describe(`adapter: ${adapter.name}, when deciding fails`, () => {
    const secret = () => {
      throw new Error('secret');
    };
    const failures: [what: string, options: object, broken: (guard: Guard) => void, status: number][] = [
      ['the identity provider is away', { operations: undefined, fetch: secret }, () => {}, 503],
      ['the clock throws', { now: secret }, () => {}, 500],
      ['everything throws, reporting too', { now: secret, report: secret }, () => {}, 500],
    ];
    for (const [what, options, , status] of failures) {
      test(`the answer is no, and says nothing of why: ${what}`, async (context) => {
        const world = await adapterWorld(adapter, options);
        context.after(() => world.close());
        const reply = await world.send();
        assert.equal(reply.status, status);
        assert.equal(world.callers.length, 0, 'the route was not called');
        assert.equal(JSON.parse(reply.body).status, status);
        assert.doesNotMatch(JSON.stringify(reply), /secret|\.ts\b|node_modules/);
      });
    }
  });

  certificateContract(adapter);
}

function checkProblem(reply: Reply, status: number, error: string | undefined): void {
  assert.match(String(reply.headers['content-type']), /^application\/problem\+json/);
  assert.equal(reply.headers['cache-control'], 'no-store');
  const problem = JSON.parse(reply.body);
  assert.deepEqual([problem.status, problem.error], [status, error]);
}

function checkChallenge(reply: Reply, status: number, error: string | undefined): void {
  if (error === undefined && status !== 401) {
    assert.equal(reply.headers['www-authenticate'], undefined, 'no scope would help');
    return;
  }
  const challenges = challengesOf(reply);
  assert.deepEqual(
    challenges.map(({ scheme, params }) => [scheme, params.error]),
    [['DPoP', error]],
    'Bearer would not help',
  );
}

export function challengesOf({ headers }: Reply): Challenge[] {
  return parseChallenges(String(headers['www-authenticate'] ?? ''));
}

/** A request as it is written, byte by byte: clients put right what they are given. */
function overSocket(port: number, line: string, headers: readonly string[]): Promise<string> {
  const pairs = headers.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${headers[index + 1]}`] : []));
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, 'localhost', () => {
      socket.write(`${[line, ...pairs, 'Connection: close'].join('\r\n')}\r\n\r\n`);
    });
    socket.setEncoding('utf8');
    socket.on('data', (text) => (answer += text)).on('end', () => resolve(answer));
    socket.on('error', reject);
  });
}
