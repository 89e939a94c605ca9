/** What one caller could do to others, or to itself for longer than it may: hold a request back, keep listening, speak for all, open sessions without end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { forwardTo, type McpHandler } from '../adapters/mcp.ts';
import {
  call,
  type McpWorld,
  type McpWorldOptions,
  mcpWorld,
  operationOf,
  readTool,
  rpc,
} from '../testing/mcp-world.ts';
import type { Verified } from '../verify.ts';
import { sessionsFor } from './sessions.ts';

async function open(context: { after(work: () => unknown): void }, options: McpWorldOptions = {}): Promise<McpWorld> {
  const made = await mcpWorld(options);
  context.after(() => made.close());
  return made;
}

/** A request whose body is held back until it is let go; it tells the status of its answer. */
function held(world: McpWorld, token: string): { go(): void; status: Promise<number> } {
  const body = Buffer.from(JSON.stringify(call('read_ticket')));
  const letGo = Promise.withResolvers<void>();
  const request = new Request(world.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    },
    body: new ReadableStream({
      async pull(controller) {
        await letGo.promise;
        controller.enqueue(body);
        controller.close();
      },
    }),
    duplex: 'half',
  } as RequestInit);
  return { go: letGo.resolve, status: world.guarded.fetch(request).then(({ status }) => status) };
}

/** Waits until this token was verified, by asking with it: what came before is then past that point. */
async function arrived(world: McpWorld, token: string): Promise<void> {
  assert.equal((await world.send({ token, body: rpc('ping') })).status, 200);
}

test('who holds a body back keeps no yes for later', async (context) => {
  const ends: [string, (world: McpWorld, jti: string) => void][] = [
    ['let go at once', () => {}],
    [
      'revoked',
      (world, jti) => {
        world.fake.ended.add(jti);
        world.fake.clock.advance(120_000);
      },
    ],
    ['expired', (world) => world.fake.clock.advance(700_000)],
  ];
  for (const [what, end] of ends) {
    const world = await open(context);
    const token = await world.bearer({ jti: what });
    const { go, status } = held(world, token);
    await arrived(world, token);
    end(world, what);
    go();
    assert.equal(await status, what === 'let go at once' ? 200 : 401, what);
    assert.equal(world.calls.length, what === 'let go at once' ? 1 : 0, what);
  }
});

test('a token that is revoked while the server says what its tools are calls nothing', async (context) => {
  const wrap: McpWorldOptions['wrap'] = (handler, world) => async (request, caller) => {
    const { method } = (await request.clone().json()) as { method: string };
    if (method === 'tools/list') {
      world.fake.ended.add('slow');
      world.fake.clock.advance(9_000);
    }
    return handler(request, caller);
  };
  const world = await open(context, { wrap });
  const reply = await world.send({ body: call('read_ticket'), token: await world.bearer({ jti: 'slow' }) });
  assert.equal(reply.status, 401);
  assert.deepEqual(world.calls, []);
});

test('a body that never ends is waited for no longer than it may take', async (context) => {
  const world = await open(context, { options: { bodySeconds: 0.1 } });
  const { port, host } = new URL(world.url);
  const socket = connect(Number(port), 'localhost');
  context.after(() => socket.destroy());
  let answer = '';
  socket.on('data', (bytes) => {
    answer += bytes;
  });
  const head = ['POST /mcp HTTP/1.1', `Host: ${host}`, `Authorization: Bearer ${await world.bearer()}`];
  socket.write(`${head.join('\r\n')}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`);
  await once(socket, 'close');
  assert.match(answer, /^HTTP\/1\.1 408 /);
});

test('a stream of news ends with the standing of its token', async (context) => {
  const news = new TransformStream<Uint8Array, Uint8Array>();
  const writer = news.writable.getWriter();
  const wrap: McpWorldOptions['wrap'] = () => async () =>
    new Response(news.readable, { headers: { 'content-type': 'text/event-stream' } });
  const world = await open(context, { wrap });
  const event = new TextEncoder().encode('data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n');
  const headers = { authorization: `Bearer ${await world.bearer({ jti: 'news' })}`, accept: 'text/event-stream' };
  const reader = (await fetch(world.url, { headers })).body!.getReader();
  for (const ahead of [0, 120_000]) {
    world.fake.clock.advance(ahead);
    await writer.write(event);
    assert.equal((await reader.read()).done, false, 'it goes on while the token stands');
  }
  world.fake.ended.add('news');
  world.fake.clock.advance(120_000);
  writer.write(event).catch(() => {});
  assert.equal((await reader.read()).done, true);
});

test('a handler gets no header that nobody checked', async (context) => {
  const world = await open(context);
  const sent = {
    bailiwick_agent: 'agt_other',
    mcp_session_id: 'other',
    x_mine: 'no',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'evil.example',
    'x-real-ip': '127.0.0.1',
    forwarded: 'for=127.0.0.1',
    'client-cert': ':AA==:',
  };
  await world.send({ body: call('read_ticket'), headers: { ...sent, 'x-mine': 'yes' } });
  const { headers } = world.requests.at(-1)!;
  for (const name of Object.keys(sent)) assert.equal(headers.get(name), null, name);
  assert.equal(headers.get('x-mine'), 'yes');
});

test('a server elsewhere that is known by its query is asked with that, whatever clients say', async (context) => {
  const asked: string[] = [];
  const to = (url: string): McpHandler =>
    forwardTo(url, {
      fetch: async (input) => {
        asked.push(new URL(String(input)).search);
        return Response.json({ jsonrpc: '2.0', id: 1, result: {} });
      },
    });
  for (const query of ['', '?tenant=own']) {
    const world = await open(context, { wrap: () => to(`http://localhost:1/mcp${query}`) });
    for (const path of ['', '?tenant=other']) await world.send({ body: rpc('ping'), path });
  }
  assert.deepEqual(asked, ['', '?tenant=other', '?tenant=own', '?tenant=own']);
});

test('what a tool is does not hang on how one caller asks', async (context) => {
  const asked: Request[] = [];
  const wrap: McpWorldOptions['wrap'] = () => async (request) => {
    const { method, id } = (await request.clone().json()) as { method: string; id: unknown };
    if (method !== 'tools/list') return Response.json({ jsonrpc: '2.0', id, result: { content: [] } });
    asked.push(request);
    const isOther = request.headers.get('accept-language') === 'de' || new URL(request.url).search !== '';
    const tools = [isOther ? { ...readTool, description: 'Liest ein Ticket.' } : readTool];
    return Response.json({ jsonrpc: '2.0', id, result: { tools } });
  };
  const world = await open(context, { wrap, guard: { operations: [operationOf(readTool, ['tickets:read'])] } });
  const other = {
    headers: { 'accept-language': 'de', cookie: 'a=1', 'mcp-protocol-version': '2025-06-18' },
    path: '?l=de',
  };
  const calls = async (sent: object = {}) => (await world.send({ body: call('read_ticket'), ...sent })).status;
  assert.equal(await calls(other), 200);
  const [learned] = asked;
  const sent = [...(learned?.headers.keys() ?? [])];
  assert.deepEqual(sent, ['accept', 'content-type', 'mcp-protocol-version']);
  await world.send({ body: rpc('tools/list'), ...other });
  assert.equal(await calls(), 200, 'nothing is learned from what a client asked for');
});

const by = (agent: string, subject = agent) => ({ caller: { organization: 'org_a', agent, subject } }) as Verified;

test('no caller pushes out the sessions of others, however many it opens', () => {
  const sessions = sessionsFor(100, 10);
  assert.ok(sessions.open('mine', by('good')));
  for (let i = 0; i < 1000; i++) assert.ok(sessions.open(`evil-${i}`, by('evil')));
  assert.ok(sessions.isOf('mine', by('good')));
  assert.ok(!sessions.isOf('evil-0', by('evil')), 'its own go first');
  assert.ok(sessions.isOf('evil-999', by('evil')));
  assert.ok(!sessions.isOf('mine', by('evil')));
  assert.ok(!sessions.open('mine', by('evil')), 'a session that is open is nobody else’s');
  for (let of = 0; of < 50; of++)
    for (let i = 0; i < 20; i++) sessions.open(`many-${of}-${i}`, by('evil', `sub-${of}`));
  assert.ok(sessions.isOf('mine', by('good')), 'where all is full, whoever has most gives way');
});

test('of one caller the session that was not used for longest goes first', () => {
  const sessions = sessionsFor(100, 2);
  for (const id of ['a', 'b']) sessions.open(id, by('good'));
  assert.ok(sessions.isOf('a', by('good')));
  sessions.open('c', by('good'));
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => sessions.isOf(id, by('good'))),
    [true, false, true],
  );
});
