/** Every way in which a request to an MCP server can be wrong: what it is answered, and that nothing of it reached the server. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  call,
  closeTool,
  debugTool,
  type McpReply,
  type McpSent,
  type McpWorld,
  type McpWorldOptions,
  mcpWorld,
  operationOf,
  readTool,
  rpc,
  toolOperations,
} from '../testing/mcp-world.ts';

const prompts = { name: 'prompts', tool: 'method:prompts/get', scope: ['tickets:read'], sensitivity: 'low' as const };
const headered = {
  ...readTool,
  name: 'by_region',
  inputSchema: { type: 'object' as const, properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
};
const operations = [...toolOperations, operationOf(headered, ['tickets:read']), prompts];
const tools = [readTool, closeTool, debugTool, headered];

let world: McpWorld;
before(async () => {
  world = await mcpWorld({ tools, guard: { operations }, options: { maxBodyBytes: 100_000 } });
});
after(() => world.close());

type Row = [what: string, sent: McpSent];

function refused(title: string, status: number, code: number | undefined, rows: Row[]): void {
  describe(`refused, ${title}`, () => {
    for (const [what, sent] of rows) {
      test(what, async () => {
        const reply = await world.send(sent);
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.json.error?.code, code, reply.text);
        assert.deepEqual(world.calls, []);
        assert.doesNotMatch(reply.text, /debug/, 'what there is besides is nobody’s business');
      });
    }
  });
}

const named = (name: unknown): McpSent => ({ body: call(name, {}) });
const raw = (text: string): McpSent => ({ raw: text });
const inParams = (params: string) => raw(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{${params}}}`);
const message = (members: Record<string, unknown>): McpSent => ({ body: { jsonrpc: '2.0', id: 1, ...members } });
const withHeaders = (body: unknown, headers: Record<string, string>): McpSent => ({ body, headers });
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

refused('tools that nobody registered', 403, -32602, [
  ['one that the server has', named('debug')],
  ['one that it has not', named('nothing')],
  ['in other letters', named('READ_TICKET')],
  ['a space behind', named('read_ticket ')],
  ['a space before', named(' read_ticket')],
  ['a NUL behind', named('read_ticket\u0000')],
  ['a letter that looks the same', named('rеad_ticket')],
  ['full-width letters', named('ｒｅａｄ＿ｔｉｃｋｅｔ')],
  ['a combining mark', named('read_ticket\u0301')],
  ['nothing visible between', named('read_\u200bticket')],
  ['__proto__', named('__proto__')],
  ['constructor', named('constructor')],
  ['no name', named('')],
  ['the operation of a method, called as a tool', named('method:prompts/get')],
  ['the whole list, called as a tool', named('method:tools/list')],
  [
    'as a notification, which nobody answers',
    { body: { jsonrpc: '2.0', method: 'tools/call', params: { name: 'debug' } } },
  ],
  ['the name twice, the last one counts', inParams('"name":"read_ticket","name":"debug"')],
  ['the method twice', raw('{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"debug"}}')],
  [
    'params twice',
    raw('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_ticket"},"params":{"name":"debug"}}'),
  ],
  ['escaped letters', inParams('"name":"d\\u0065bug"')],
]);

test('tools that the token does not reach are refused with all scopes that they need', async () => {
  const reply = await world.send({ body: call('close_ticket') });
  assert.equal(reply.status, 403);
  assert.equal(
    reply.headers.get('www-authenticate'),
    `Bearer error="insufficient_scope", scope="tickets:read tickets:write", resource_metadata="${world.guard.metadataUrl}", DPoP scope="tickets:read tickets:write", algs="ES256 EdDSA PS256 RS256", resource_metadata="${world.guard.metadataUrl}"`,
  );
  assert.equal(reply.headers.get('content-type'), 'application/json');
  assert.equal(reply.json.id, 1);
});

refused('methods that nobody opened', 403, -32601, [
  ['resources/read', { body: rpc('resources/read', { uri: 'file:///etc/passwd' }) }],
  ['prompts/list', { body: rpc('prompts/list') }],
  ['completion/complete', { body: rpc('completion/complete', {}) }],
  ['logging/setLevel', { body: rpc('logging/setLevel', { level: 'debug' }) }],
  ['tasks/result', { body: rpc('tasks/result', { taskId: '1' }) }],
  ['one that nobody knows', { body: rpc('x/y') }],
  ['tools/call in other letters', { body: rpc('Tools/Call', { name: 'read_ticket' }) }],
  ['tools/call with a space', { body: rpc('tools/call ', { name: 'read_ticket' }) }],
  ['a request as a notification', { body: { jsonrpc: '2.0', method: 'resources/read', params: {} } }],
  ['a notification that asks', { body: rpc('notifications/x') }],
  ['__proto__', { body: rpc('__proto__') }],
  ['no method', { body: rpc('') }],
  [
    'listening to resources',
    {
      body: rpc('subscriptions/listen', {
        notifications: { toolsListChanged: true, resourceSubscriptions: ['file:///x'] },
      }),
    },
  ],
  ['listening to anything', { body: rpc('subscriptions/listen', {}) }],
]);

refused('bodies that are no JSON', 400, -32700, [
  ['nothing', raw('')],
  ['a word', raw('ping')],
  ['half of it', raw('{"jsonrpc":"2.0",')],
  ['something behind', raw('{"jsonrpc":"2.0","id":1,"method":"ping"}{}')],
  ['two lines of JSON', raw('{"jsonrpc":"2.0","id":1,"method":"ping"}\n{"jsonrpc":"2.0","id":2,"method":"ping"}')],
  ['bytes that are no UTF-8', { raw: new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]) }],
  ['UTF-16', { raw: new Uint8Array(Buffer.from('{"jsonrpc":"2.0"}', 'utf16le')) }],
  ['nested 65 deep', raw(nested(65))],
  ['nested 40,000 deep', raw(nested(40_000))],
  ['nested and never closed', raw('['.repeat(90_000))],
  ['arguments nested too deeply', inParams(`"name":"read_ticket","arguments":{"id":${nested(70)}}`)],
]);

refused('messages that are none', 400, -32600, [
  ['null', raw('null')],
  ['a number', raw('7')],
  ['another version', { body: { ...rpc('ping'), jsonrpc: '1.0' } }],
  ['no version', { body: { id: 1, method: 'ping' } }],
  ['an id that is null', message({ id: null, method: 'ping' })],
  ['an id that is an object', message({ id: {}, method: 'ping' })],
  ['an id that is half a number', message({ id: 1.5, method: 'ping' })],
  ['an id beyond exactness', raw('{"jsonrpc":"2.0","id":12345678901234567890,"method":"ping"}')],
  ['a method that is a list', message({ method: ['tools/call'] })],
  ['a method and a result', message({ method: 'ping', result: {} })],
  ['a result and an error', message({ result: {}, error: {} })],
  ['neither', message({})],
  ['a result without an id', { body: { jsonrpc: '2.0', result: {} } }],
  ['an empty batch', { body: [] }],
  ['a batch in a batch', { body: [[rpc('ping')]] }],
  ['a batch of 101', { body: Array.from({ length: 101 }, (_, index) => rpc('ping', {}, index)) }],
  ['a batch in which an id is there twice', { body: [rpc('ping', {}, 1), call('read_ticket', {}, 1)] }],
]);

refused('parameters that are none', 400, -32602, [
  ['params that are a list', message({ method: 'tools/call', params: ['read_ticket'] })],
  ['params that are null', message({ method: 'tools/call', params: null })],
  ['a name that is a list', named(['read_ticket'])],
  ['a name that is null', named(null)],
  ['no name', message({ method: 'tools/call', params: {} })],
  ['arguments that are a list', { body: call('read_ticket', ['7']) }],
  ['arguments that are text', { body: call('read_ticket', '7') }],
  ['a second name in capitals', inParams('"name":"read_ticket","Name":"debug"')],
  ['a name in capitals alone', inParams('"NAME":"read_ticket"')],
  ['arguments with a long s', inParams('"name":"read_ticket","argument\u017f":{}')],
  ['arguments that differ by case alone', { body: call('read_ticket', { id: '7', ID: '8' }) }],
]);

const batch = [call('read_ticket', { id: '7' }, 1), rpc('ping', {}, 2)];
const version = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } };
refused('headers that say something else than the body', 400, -32020, [
  ['another method', withHeaders(call('read_ticket'), { 'mcp-method': 'ping' })],
  ['the method in other letters', withHeaders(call('read_ticket'), { 'mcp-method': 'Tools/Call' })],
  ['two methods', withHeaders(call('read_ticket'), { 'mcp-method': 'tools/call, ping' })],
  ['another tool', withHeaders(call('read_ticket'), { 'mcp-method': 'tools/call', 'mcp-name': 'close_ticket' })],
  ['another tool, encoded', withHeaders(call('read_ticket'), { 'mcp-name': `=?base64?${btoa('close_ticket')}?=` })],
  ['a name that is encoded wrongly', withHeaders(call('read_ticket'), { 'mcp-name': '=?base64?%%%?=' })],
  [
    'a name that is encoded loosely',
    withHeaders(call('read_ticket'), { 'mcp-name': `=?base64?${btoa('read_ticket')}=?=` }),
  ],
  ['a name where there is none', withHeaders(rpc('ping'), { 'mcp-name': 'read_ticket' })],
  ['another revision', withHeaders(rpc('ping', version), { 'mcp-protocol-version': '2025-11-25' })],
  ['a method beside a batch', withHeaders(batch, { 'mcp-method': 'tools/call' })],
  ['a method beside an answer', withHeaders({ jsonrpc: '2.0', id: 1, result: {} }, { 'mcp-method': 'tools/call' })],
  ['another value of a parameter', withHeaders(call('by_region', { region: 'eu' }), { 'mcp-param-region': 'us' })],
]);

refused('bodies of other kinds', 415, -32000, [
  ['plain text', withHeaders(call('read_ticket'), { 'content-type': 'text/plain' })],
  ['a form', withHeaders(call('read_ticket'), { 'content-type': 'application/x-www-form-urlencoded' })],
  ['almost JSON', withHeaders(call('read_ticket'), { 'content-type': 'application/json-patch+json' })],
  ['JSON and something else', withHeaders(call('read_ticket'), { 'content-type': 'application/json, text/plain' })],
  ['another charset', withHeaders(call('read_ticket'), { 'content-type': 'application/json; charset=utf-16' })],
  ['compressed, or so it says', withHeaders(call('read_ticket'), { 'content-encoding': 'gzip' })],
]);

refused('bodies that are too large', 413, -32000, [
  ['by what is in them', { body: call('read_ticket', { id: 'x'.repeat(100_000) }) }],
  ['before anybody parses them', raw(' '.repeat(200_000))],
]);

refused('other ways to ask', 405, -32000, [
  ['PUT', { method: 'PUT' }],
  ['PATCH', { method: 'PATCH' }],
  ['OPTIONS', { method: 'OPTIONS' }],
]);
refused('other places', 404, -32000, [['below the endpoint', { path: '/admin', body: call('read_ticket') }]]);
refused('sessions that nobody opened here', 404, -32001, [
  ['to call', withHeaders(call('read_ticket'), { 'mcp-session-id': 'guessed' })],
  ['to listen', { method: 'GET', headers: { 'mcp-session-id': 'guessed' } }],
  ['to end it', { method: 'DELETE', headers: { 'mcp-session-id': 'guessed' } }],
]);

test('without a token nothing is answered but where to get one', async () => {
  for (const method of ['POST', 'GET', 'DELETE', 'PUT', 'HEAD']) {
    const reply = await world.send({ method, token: '', body: rpc('initialize', {}) });
    assert.equal(reply.status, 401, method);
    assert.match(reply.headers.get('www-authenticate') ?? '', /^Bearer resource_metadata="/);
  }
  assert.equal((await world.send({ body: rpc('ping'), token: 'stolen' })).status, 401);
});

test('what is good passes beside all this', async () => {
  const all: McpSent[] = [
    { body: call('read_ticket') },
    { body: call('read_ticket'), headers: { 'mcp-method': 'tools/call', 'mcp-name': 'read_ticket' } },
    { body: call('read_ticket'), headers: { 'mcp-name': `=?base64?${btoa('read_ticket')}?=` } },
    { body: call('read_ticket'), headers: { 'content-type': 'application/json; charset="UTF-8"' } },
    { body: call('by_region', { region: 'eu' }), headers: { 'mcp-param-region': 'eu', 'mcp-param-other': 'x' } },
    {
      body: rpc('initialize', {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'x', version: '1' },
      }),
    },
  ];
  for (const good of all) {
    const reply = await world.send(good);
    assert.equal(reply.status, 200, reply.text);
  }
  assert.equal(world.requests.at(-2)?.headers.get('mcp-param-other'), null, 'what nobody could check is taken away');
  assert.equal(world.requests.at(-2)?.headers.get('mcp-param-region'), 'eu');
});

async function open(context: { after(work: () => unknown): void }, options: McpWorldOptions): Promise<McpWorld> {
  const made = await mcpWorld(options);
  context.after(() => made.close());
  return made;
}

test('a session is its caller’s alone, whoever knows its id', async (context) => {
  const own = await open(context, { kind: '1.x with sessions' });
  const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
  const { headers } = await own.send({ body: rpc('initialize', params) });
  const session = { 'mcp-session-id': headers.get('mcp-session-id') ?? assert.fail('no session') };
  assert.equal((await own.send({ body: call('read_ticket'), headers: session })).status, 200);
  const thief = await own.bearer({ client_id: 'agt_thief', sub: 'spiffe://id.example/default/thief' });
  for (const method of ['POST', 'GET', 'DELETE']) {
    const reply = await own.send({ method, body: call('read_ticket'), headers: session, token: thief });
    assert.equal(reply.status, 404, method);
    assert.equal(reply.json.error?.code, -32001);
  }
  const forSomeone = await own.bearer({ sub: 'per_ada' });
  assert.equal((await own.send({ body: call('read_ticket'), headers: session, token: forSomeone })).status, 404);
  assert.equal((await own.send({ method: 'DELETE', headers: session })).status, 200, 'its caller may end it');
});

test('a stream is picked up again by its session alone', async (context) => {
  const wrap: McpWorldOptions['wrap'] = () => async (request) =>
    new Response(null, { status: 200, headers: { 'x-from': request.headers.get('last-event-id') ?? 'nowhere' } });
  const heard = async (sessions: 'bound' | 'server') => {
    const resuming = await open(context, { wrap, options: { sessions } });
    return (await resuming.send({ method: 'GET', headers: { 'last-event-id': '7' } })).headers.get('x-from');
  };
  assert.equal(await heard('bound'), 'nowhere');
  assert.equal(await heard('server'), '7', 'which the server is said to see to');
});

test('a server that gives two callers one session gives it to the first alone', async (context) => {
  const wrap: McpWorldOptions['wrap'] = () => async () =>
    Response.json({ jsonrpc: '2.0', id: 1, result: {} }, { headers: { 'mcp-session-id': 'same' } });
  const sloppy = await open(context, { wrap });
  assert.equal((await sloppy.send({ body: rpc('initialize', {}) })).headers.get('mcp-session-id'), 'same');
  const other = await sloppy.bearer({ client_id: 'agt_other' });
  const reply = await sloppy.send({ body: rpc('initialize', {}), token: other });
  assert.deepEqual([reply.status, reply.headers.get('mcp-session-id')], [404, null]);
});

test('a stream of news ends with the token', async (context) => {
  const news = new TransformStream<Uint8Array, Uint8Array>();
  const writer = news.writable.getWriter();
  const wrap: McpWorldOptions['wrap'] = () => async () =>
    new Response(news.readable, { headers: { 'content-type': 'text/event-stream' } });
  const listening = await open(context, { wrap });
  const event = new TextEncoder().encode('data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n');
  const response = await fetch(listening.url, {
    headers: { authorization: `Bearer ${await listening.bearer()}`, accept: 'text/event-stream' },
  });
  const reader = response.body!.getReader();
  await writer.write(event);
  assert.equal((await reader.read()).done, false);
  listening.fake.clock.advance(700_000);
  writer.write(event).catch(() => {});
  assert.equal((await reader.read()).done, true);
});

/** A server that answers `tools/list` in its own way, and all else well. */
const listing =
  (answer: (id: unknown, params: { cursor?: string }) => Response): McpWorldOptions['wrap'] =>
  (handler) =>
  async (request, caller) => {
    const { method, id, params = {} } = (await request.clone().json()) as Listed;
    return method === 'tools/list' ? answer(id, params) : handler(request, caller);
  };
interface Listed {
  method: string;
  id: unknown;
  params?: { cursor?: string };
}
const listOf = (id: unknown, all: unknown, more: object = {}) =>
  Response.json({ jsonrpc: '2.0', id, result: { tools: all, ...more } });

const oddLists: [what: string, wrap: McpWorldOptions['wrap'], call: number, list: (reply: McpReply) => void][] = [
  [
    'as HTML',
    listing(() => new Response('<b>debug</b>', { headers: { 'content-type': 'text/html' } })),
    503,
    ({ status, text }) => assert.deepEqual([status, text], [502, '']),
  ],
  [
    'compressed',
    listing(
      (id) =>
        new Response(Response.json({ id }).body, {
          headers: { 'content-type': 'application/json', 'content-encoding': 'br' },
        }),
    ),
    503,
    ({ status }) => assert.equal(status, 502),
  ],
  [
    'as no JSON',
    listing(() => new Response('{', { headers: { 'content-type': 'application/json' } })),
    503,
    ({ status }) => assert.equal(status, 502),
  ],
  [
    'with a refusal',
    listing(() => new Response('no debug', { status: 500 })),
    503,
    ({ status, text }) => assert.deepEqual([status, text], [500, '']),
  ],
  [
    'with an error',
    listing((id) => Response.json({ jsonrpc: '2.0', id, error: { code: -32603, message: 'x' } })),
    503,
    ({ json }) => assert.equal(json.error?.code, -32603),
  ],
  [
    'to another id',
    listing(() => listOf('other', [readTool, debugTool])),
    503,
    ({ text }) => assert.doesNotMatch(text, /debug/),
  ],
  [
    'with tools that are no list',
    listing((id) => listOf(id, { debug: debugTool })),
    503,
    ({ json }) => assert.deepEqual(json.result?.tools, []),
  ],
  [
    'without end',
    listing((id) => listOf(id, [debugTool], { nextCursor: 'more' })),
    503,
    ({ json }) => assert.deepEqual(json.result?.tools, []),
  ],
  [
    'with the tool twice',
    listing((id) => listOf(id, [readTool, { ...readTool, description: 'Other.' }])),
    403,
    ({ json }) => assert.deepEqual(json.result?.tools, []),
  ],
  [
    'with the same tool twice',
    listing((id) => listOf(id, [readTool, readTool])),
    403,
    ({ json }) => assert.deepEqual(json.result?.tools, []),
  ],
  [
    'with another one on the second page',
    listing((id, { cursor }) =>
      cursor === undefined ? listOf(id, [readTool], { nextCursor: '2' }) : listOf(id, [{ ...readTool, title: 'x' }]),
    ),
    403,
    ({ status }) => assert.equal(status, 200),
  ],
  [
    'without the tool',
    listing((id) => listOf(id, [debugTool])),
    403,
    ({ json }) => assert.deepEqual(json.result?.tools, []),
  ],
  [
    'with what is no tool',
    listing((id) => listOf(id, [null, 'read_ticket', { name: 7 }, ['read_ticket']])),
    403,
    ({ json }) => assert.deepEqual(json.result?.tools, []),
  ],
  [
    'with a definition that has no hash',
    listing(
      (id) =>
        new Response(
          `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"tools":[{"name":"read_ticket","x":${nested(300)}}]}}`,
          { headers: { 'content-type': 'application/json' } },
        ),
    ),
    403,
    ({ json }) => assert.deepEqual(json.result?.tools, []),
  ],
  [
    'by failing',
    listing(() => assert.fail('debug')),
    503,
    ({ status, text }) => assert.deepEqual([status, /debug/.test(text)], [500, false]),
  ],
];

describe('a server that answers tools/list', () => {
  for (const [what, wrap, status, list] of oddLists) {
    test(`${what}: nothing that wasn't checked gets out, and no tool is called`, async (context) => {
      const odd = await open(context, { ...(wrap === undefined ? {} : { wrap }) });
      assert.equal((await odd.send({ body: call('read_ticket') })).status, status);
      assert.deepEqual(odd.calls, []);
      list(await odd.send({ body: rpc('tools/list') }));
      assert.equal((await odd.send({ body: call('read_ticket') })).status === 200, false);
    });
  }
});

test('a handler that fails says nothing of why, and the operator hears of it', async (context) => {
  const wrap: McpWorldOptions['wrap'] = () => () => assert.fail('a secret');
  const failing = await open(context, { wrap });
  const reply = await failing.send({ body: rpc('ping') });
  assert.equal(reply.status, 500);
  assert.doesNotMatch(reply.text, /secret/);
  assert.match(failing.problems.join(), /a secret/);
});

test('a list that was asked for before a change says nothing after it', async (context) => {
  const answered = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const wrap: McpWorldOptions['wrap'] = (handler) => async (request, caller) => {
    const { method, id } = (await request.clone().json()) as { method: string; id: unknown };
    if (method === 'notifications/x')
      return new Response('data: {"method":"notifications/tools/list_changed"}\n\n', {
        headers: { 'content-type': 'text/event-stream' },
      });
    if (method !== 'tools/list' || id !== 'early') return handler(request, caller);
    asked.resolve();
    await answered.promise;
    return listOf('early', [readTool]);
  };
  const racing = await open(context, { wrap, options: { definitionSeconds: 3600 } });
  const early = racing.send({ body: rpc('tools/list', {}, 'early') });
  await asked.promise;
  racing.tools[0] = { ...readTool, description: 'Something else.' };
  await racing.send({ body: { jsonrpc: '2.0', method: 'notifications/x' } });
  answered.resolve();
  await early;
  assert.equal((await racing.send({ body: call('read_ticket') })).status, 403);
});
