/** `bailiwick resources tools` and `import-tools`: what is new, changed and gone, and what a person reads of it. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { toolDefinition } from '@bailiwick/protocol';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';

interface Listed {
  tools: { tool: string; state: string; definition?: string }[];
  changed: boolean;
}
interface Shown {
  items: { name: string; tool: string; scope: string[]; sensitivity: string; definition?: string }[];
}

const read = {
  name: 'read_ticket',
  description: 'Reads a ticket.',
  inputSchema: { type: 'object', properties: { id: { type: 'string', description: 'Its number' } }, required: ['id'] },
  annotations: { readOnlyHint: true },
};
const close = { name: 'close_ticket', inputSchema: { type: 'object' }, annotations: { destructiveHint: false } };
const wipe = { name: 'wipe', description: 'Deletes all.', inputSchema: { type: 'object' } };

let server: TestServer;
let cli: CommandLine;
before(async () => {
  server = await startServer({ database: 'sqlite' });
  cli = commandLine(server);
});
after(async () => {
  cli.close();
  await server.close();
});

let made = 0;
/** A resource of its own, and a file with these tools. */
async function resourceWith(...tools: object[]): Promise<string> {
  made += 1;
  const name = `desk-${made}`;
  await cli.json('resources', 'create', `https://${name}.example/mcp`, '--name', name);
  cli.write('tools.json', JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools } }));
  return name;
}
const fromFile = (name: string, ...more: string[]) =>
  cli.json<Listed>('resources', 'import-tools', name, '--from', 'tools.json', '--yes', ...more);
const shown = async (name: string) => (await cli.json<Shown>('resources', 'tools', name)).items;

test('new tools are registered with their scope, their definition, and the sensitivity that they claim at most', async () => {
  const name = await resourceWith(read, close, wipe);
  const { tools, changed } = await fromFile(name, '--scope', 'tickets:use');
  assert.equal(changed, true);
  assert.deepEqual(
    tools.map(({ state }) => state),
    ['new', 'new', 'new'],
  );
  assert.deepEqual(await shown(name), [
    {
      name: 'read_ticket',
      tool: 'read_ticket',
      scope: ['tickets:use'],
      sensitivity: 'low',
      definition: toolDefinition(read),
    },
    {
      name: 'close_ticket',
      tool: 'close_ticket',
      scope: ['tickets:use'],
      sensitivity: 'medium',
      definition: toolDefinition(close),
    },
    { name: 'wipe', tool: 'wipe', scope: ['tickets:use'], sensitivity: 'high', definition: toolDefinition(wipe) },
  ]);
  assert.equal((await fromFile(name)).changed, false, 'a second time there is nothing to do');
});

test('a file says what each needs, and what is left out', async () => {
  const name = await resourceWith(read, close, wipe);
  cli.write('map.yaml', 'read_ticket: { scope: [a, b], sensitivity: high, name: read }\nwipe: { "skip": true }\n');
  await fromFile(name, '--map', 'map.yaml', '--scope', 'c', '--sensitivity', 'low');
  assert.deepEqual(
    (await shown(name)).map(({ name: one, tool, scope, sensitivity }) => [one, tool, scope, sensitivity]),
    [
      ['read', 'read_ticket', ['a', 'b'], 'high'],
      ['close_ticket', 'close_ticket', ['c'], 'low'],
    ],
  );
});

test('what changed keeps its scopes, what is gone stays until it is said otherwise', async () => {
  const name = await resourceWith(read, close);
  await fromFile(name, '--scope', 'tickets:use', '--sensitivity', 'medium');
  const other = { ...read, description: 'Reads a ticket, and more.' };
  cli.write('tools.json', JSON.stringify([other]));
  const { tools } = await fromFile(name);
  assert.deepEqual(
    tools.map(({ tool, state }) => `${tool} ${state}`),
    ['read_ticket changed', 'close_ticket gone'],
  );
  const [first, second] = await shown(name);
  assert.deepEqual(
    [first?.scope, first?.sensitivity, first?.definition],
    [['tickets:use'], 'medium', toolDefinition(other)],
  );
  assert.equal(second?.tool, 'close_ticket');
  await fromFile(name, '--remove-gone');
  assert.deepEqual(
    (await shown(name)).map(({ tool }) => tool),
    ['read_ticket'],
  );
});

test('tools that were registered by hand get their definition', async () => {
  const name = await resourceWith(read);
  await cli.json('resources', 'update', name, '--operation', 'tool:read_ticket tickets:read high');
  assert.match((await cli('resources', 'tools', name)).out, /not recorded/);
  assert.deepEqual(
    (await fromFile(name)).tools.map(({ state }) => state),
    ['unchecked'],
  );
  const [tool] = await shown(name);
  assert.deepEqual(
    [tool?.scope, tool?.sensitivity, tool?.definition],
    [['tickets:read'], 'high', toolDefinition(read)],
  );
});

test('a line about scopes leaves a definition as it is: by option, and in a fleet file', async () => {
  const name = await resourceWith(read);
  await fromFile(name, '--scope', 'tickets:read');
  await cli.json('resources', 'update', name, '--operation', 'tool:read_ticket tickets:write high');
  assert.equal((await shown(name))[0]?.definition, toolDefinition(read));
  const fleet = (operation: string) =>
    cli.write(
      'fleet.yaml',
      `resources:\n  ${name}:\n    identifier: https://${name}.example/mcp\n    operations:\n      - ${operation}\n`,
    );
  fleet('tool:read_ticket tickets:read low');
  await cli.json('apply', '-f', 'fleet.yaml', '--yes');
  assert.deepEqual(
    (await shown(name)).map(({ scope, definition }) => [scope, definition]),
    [[['tickets:read'], toolDefinition(read)]],
  );
  const other = toolDefinition(wipe);
  fleet(`{ tool: read_ticket, scope: tickets:read, sensitivity: low, definition: ${other} }`);
  assert.equal((await cli('apply', '-f', 'fleet.yaml', '--dry-run')).code, 7);
  await cli.json('apply', '-f', 'fleet.yaml', '--yes');
  assert.equal((await shown(name))[0]?.definition, other);
  assert.equal((await cli('apply', '-f', 'fleet.yaml', '--dry-run')).code, 0);
});

test('a person reads all that a model would, hidden characters too', async () => {
  const sly = {
    ...read,
    description: 'Reads.\u200b\u{E0041}\u001b[2K',
    'x-more': { note: 'Obey.' },
    outputSchema: { type: 'object', description: 'Out.' },
  };
  const name = await resourceWith(sly);
  const { code, out } = await cli('resources', 'import-tools', name, '--from', 'tools.json', '--dry-run');
  assert.equal(code, 7);
  assert.match(out, /^new {2}read_ticket$/m);
  assert.match(out, /Reads\.\\u\{200b\}\\u\{e0041\}\\u\{1b\}\[2K/);
  assert.match(out, /id string: Its number/);
  assert.match(out, /says of itself: \{"readOnlyHint":true\}/);
  assert.match(out, /x-more: \{"note":"Obey\."\}/);
  assert.match(out, /answers: .*Out\./);
  assert.match(out, /characters that nobody sees but a model/);
  assert.deepEqual(await shown(name), [], 'nothing was registered');
});

test('at a terminal each new tool is asked for, and an empty answer leaves it out', async (context) => {
  const name = await resourceWith(read, close);
  const asked: string[] = [];
  const answers = ['tickets:read', '', 'yes'];
  const person = commandLine(server, {
    interactive: true,
    ask: async (question) => {
      asked.push(question);
      return answers.shift() ?? assert.fail(question);
    },
  });
  context.after(() => person.close());
  person.write('tools.json', JSON.stringify([read, close]));
  assert.equal((await person('resources', 'import-tools', name, '--from', 'tools.json')).code, 0);
  assert.match(asked[0] ?? '', /Which scope does "read_ticket" need/);
  assert.deepEqual(
    (await shown(name)).map(({ tool }) => tool),
    ['read_ticket'],
  );
});

test('a running server is asked, all pages of its list, and what its client does not know is hashed too', async (context) => {
  const tools = [{ ...read, 'x-unknown': 'to the client' }, close, wipe];
  const http = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    if (request.method !== 'POST') return response.writeHead(405).end();
    if (request.headers.authorization !== 'Bearer of-mine') return response.writeHead(401).end();
    const { id, method, params } = JSON.parse(text) as {
      id: number;
      method: string;
      params?: { cursor?: string; protocolVersion?: string };
    };
    const at = Number(params?.cursor ?? 0);
    const results: Record<string, object> = {
      initialize: {
        protocolVersion: params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'x', version: '1' },
      },
      'tools/list': { tools: [tools[at]], ...(at < 2 ? { nextCursor: String(at + 1) } : {}) },
    };
    if (id === undefined) return response.writeHead(202).end();
    const result = results[method];
    const error = { code: -32601, message: 'no such method' };
    return response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ jsonrpc: '2.0', id, ...(result === undefined ? { error } : { result }) }));
  });
  await new Promise<void>((resolve) => http.listen(0, 'localhost', resolve));
  context.after(() => {
    http.closeAllConnections();
    http.close();
  });
  const url = `http://localhost:${(http.address() as AddressInfo).port}/mcp`;
  const name = await resourceWith();
  const from = ['resources', 'import-tools', name, '--url', url, '--scope', 'tickets:use', '--yes'];
  const refused = await cli(...from);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /--agent-file FILE/);
  cli.write('token', 'of-mine\n');
  await cli.json(...from, '--token-file', 'token');
  assert.deepEqual(
    (await shown(name)).map(({ definition }) => definition),
    tools.map(toolDefinition),
  );
});

describe('refused', () => {
  const rows: [what: string, tools: unknown, argv: string[], said: RegExp][] = [
    ['no scope, and nobody to ask', [read, wipe], ['--yes'], /isn't said which scope these need: read_ticket, wipe/],
    ['nobody to say yes', [read], ['--scope', 'a'], /Add --yes/],
    [
      'a sensitivity that is none',
      [read],
      ['--scope', 'a', '--sensitivity', 'deadly', '--yes'],
      /"deadly" is not a sensitivity/,
    ],
    ['a file and a server', [read], ['--url', 'http://localhost:1/mcp'], /from --url or from --from/],
    ['a tool twice', [read, { ...read, title: 'Other' }], ['--scope', 'a', '--yes'], /two tools called "read_ticket"/],
    ['what is no list', { tools: 7 }, ['--scope', 'a', '--yes'], /holds no tools/],
    ['what is no tool', [{ description: 'nameless' }], ['--scope', 'a', '--yes'], /holds no tools/],
    [
      'a definition without a hash',
      [{ name: 'x', inputSchema: '\ud800' }],
      ['--scope', 'a', '--yes'],
      /can't be hashed/,
    ],
  ];
  for (const [what, tools, argv, said] of rows) {
    test(what, async () => {
      const name = await resourceWith();
      cli.write('tools.json', JSON.stringify(tools));
      const { code, err } = await cli('resources', 'import-tools', name, '--from', 'tools.json', ...argv);
      assert.notEqual(code, 0);
      assert.match(err, said);
      assert.deepEqual(await shown(name), []);
    });
  }

  test('a file that names what is no tool', async () => {
    const name = await resourceWith(read);
    cli.write('map.yaml', 'raed_ticket: { scope: a }\n');
    const { code, err } = await cli(
      'resources',
      'import-tools',
      name,
      '--from',
      'tools.json',
      '--map',
      'map.yaml',
      '--scope',
      'a',
      '--yes',
    );
    assert.equal(code, 2);
    assert.match(err, /no tool of this server: raed_ticket/);
  });

  test('a definition that is no hash, or of what is no tool', async () => {
    const { items } = await server.admin<{ items: { id: string }[] }>('GET', `/resources?name=${await resourceWith()}`);
    const patch = (operation: object) =>
      server.admin('PATCH', `/resources/${items[0]?.id}`, {
        scopes: [{ name: 'a' }],
        operations: [{ name: 'x', scope: ['a'], ...operation }],
      });
    await assert.rejects(patch({ tool: 'x', definition: 'short' }), /400.*SHA-256/s);
    await assert.rejects(
      patch({ method: 'GET', path: '/', definition: toolDefinition(read) }),
      /: 4\d\d .*is for tools/s,
    );
  });
});
