import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { databases, startServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';

interface Applied {
  applied: boolean;
  changes: { action: string; noun: string; name: string; agent?: string }[];
}

const fleet = `
people:
  Ada Lovelace: { email: ada@example.com }
teams:
  support: { display_name: Support, members: [Ada Lovelace] }
resources:
  tickets:
    identifier: https://tickets.example.com
    scopes: { tickets:read: See tickets }
    operations:
      - GET /tickets tickets:read low
      - { method: POST, path: /tickets, scope: [tickets:read, tickets:write], sensitivity: high, name: create }
    token: { lifetime_seconds: 300 }
    feed: { lease_seconds: 1.5 }
roles:
  reader:
    description: Reads
    permissions: { tickets: [tickets:read] }
  writer:
    permissions: { https://tickets.example.com: [tickets:write, tickets:read] }
agents:
  desk:
    owner: support
    purpose: Answers tickets
    expires_at: 2030-01-31T13:00:00+01:00
    resources: [tickets]
    roles: [reader, writer]
    limits: { tokens_per_minute: 60 }
    keys: [keys/desk.json]
  nightly:
    kind: workload
    owner: person:Ada Lovelace
    resources: { tickets: { scope: [tickets:read] } }
    roles: [reader]
`;

/** What would be changed, as short words: `create agent desk`. */
async function changesOf(cli: CommandLine, ...flags: string[]): Promise<string[]> {
  const { code, out, err } = await cli('apply', '-f', 'fleet.yaml', '--dry-run', '--json', ...flags);
  assert.ok(code === 0 || code === exitCodes.pending.code, err);
  const { changes, applied } = JSON.parse(out) as Applied;
  assert.equal(applied, false);
  assert.equal(code === 0, changes.length === 0, 'the exit code tells whether something would change');
  return changes.map(({ action, noun, name, agent }) => [action, noun, name, agent].filter(Boolean).join(' '));
}

async function applied(cli: CommandLine, ...flags: string[]): Promise<void> {
  const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--yes', ...flags);
  assert.equal(code, 0, err);
  assert.deepEqual(await changesOf(cli, ...flags), [], 'a second time it changes nothing');
}

for (const database of databases) {
  test(`apply, on ${database}: makes what is missing, then nothing, then just what differs`, async (t) => {
    const server = await startServer({ database });
    t.after(() => server.close());
    const cli = commandLine(server);
    t.after(() => cli.close());
    const jwk = await generateJwk('ES256');
    mkdirSync(path.join(cli.folder, 'keys'));
    cli.write('keys/desk.json', JSON.stringify(jwk));
    cli.write('fleet.yaml', fleet);

    assert.deepEqual(await changesOf(cli), [
      'create person Ada Lovelace',
      'create team support',
      'create resource tickets',
      'create role reader',
      'create role writer',
      'create agent desk',
      'create key desk.json desk',
      'create grant reader desk',
      'create grant writer desk',
      'create agent nightly',
      'create grant reader nightly',
    ]);
    const alone = await cli('apply', '-f', 'fleet.yaml');
    assert.equal(alone.code, exitCodes.usage.code, 'nobody to ask');
    await applied(cli);

    const { id } = await cli.json<{ id: string }>('agents', 'show', 'desk');
    cli.write('desk.json', JSON.stringify({ issuer: server.issuer, client_id: id, jwk }));
    const token = await cli.json<{ claims: { scope: string } }>('token', '--identity', 'desk.json');
    assert.equal(token.claims.scope, 'tickets:read tickets:write');

    const less = fleet
      .replace('roles: [reader, writer]', 'roles: [reader]')
      .replace('limits: { tokens_per_minute: 60 }', 'limits: {}')
      .replace('token: { lifetime_seconds: 300 }', 'token: {}')
      .replace('feed: { lease_seconds: 1.5 }', 'feed: { when_lost: refuse }')
      .replace('members: [Ada Lovelace]', 'members: []')
      .replace('purpose: Answers tickets', 'purpose: Answers "all" tickets')
      .replace('keys: [keys/desk.json]', 'keys: []');
    cli.write('fleet.yaml', less);
    assert.deepEqual(await changesOf(cli), [
      'update team support',
      'update resource tickets',
      'update agent desk',
      'end key desk.json desk'.replace('desk.json', jwk.kid ?? ''),
      'end grant writer desk',
    ]);
    await applied(cli);
    const desk = await cli.json<{ limits: object; credentials: object[] }>('agents', 'show', 'desk');
    assert.deepEqual([desk.limits, desk.credentials], [{}, []]);
    assert.equal((await cli('token', '--identity', 'desk.json')).code, exitCodes.refused.code);
  });
}

test('apply leaves alone what the file does not name, and ends it with --prune', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  await cli.json('resources', 'create', 'https://old.example.com', '--name', 'old');
  await cli.json('guards', 'create', 'old', '--owner', 'operators', '--key-out', 'guard.json');
  await cli.json('roles', 'create', 'old-role', '--permission', `old=${''}`).catch(() => undefined);
  await cli.json('agents', 'create', 'old-agent', '--owner', 'operators');
  cli.write('fleet.yaml', 'agents:\n  new-agent: { owner: team:operators }\n');
  assert.deepEqual(await changesOf(cli), ['create agent new-agent']);
  const pruned = await changesOf(cli, '--prune');
  assert.ok(pruned.includes('end agent old-agent') && pruned.includes('end resource old'), pruned.join());
  assert.ok(!pruned.some((change) => /operator|guard|admin/i.test(change)), pruned.join());
  await applied(cli, '--prune');
  assert.equal((await cli('agents', 'list')).code, 0, 'the operator is still there');

  cli.write('fleet.yaml', 'agents:\n  old-agent: { owner: team:operators }\n');
  const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--dry-run');
  assert.equal(code, exitCodes.conflict.code);
  assert.match(err, /old-agent has ended for good, and its name is never used again/);
});

test('apply works in the organization that the file names', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  await cli.json('organizations', 'create', 'acme');
  cli.write('fleet.yaml', 'organization: acme\nteams: { ops: {} }\nagents:\n  bot: { owner: ops }\n');
  await applied(cli);
  const there = await cli.json<{ items: { name: string }[] }>('--organization', 'acme', 'agents', 'list');
  assert.deepEqual(
    there.items.map(({ name }) => name),
    ['bot'],
  );
  const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--organization', 'default');
  assert.equal(code, exitCodes.usage.code, err);
});

test('the difference can be read', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  const text = fleet.replace('    keys: [keys/desk.json]\n', '');
  cli.write('fleet.yaml', text);
  assert.equal((await cli('apply', '-f', 'fleet.yaml', '--yes')).code, 0);
  cli.write(
    'fleet.yaml',
    text
      .replace('description: Reads', 'description: Reads tickets')
      .replace('- GET /tickets tickets:read low', '- GET /tickets tickets:read high')
      .replace('roles: [reader, writer]', 'roles: [reader]'),
  );
  const { out } = await cli('apply', '-f', 'fleet.yaml', '--dry-run');
  assert.equal(
    out,
    `~ resource tickets
    operations:
      - GET /tickets tickets:read low
      + GET /tickets tickets:read high
~ role reader
    description: Reads → Reads tickets
~ agent desk
    resources:
      - tickets: default, scope tickets:read tickets:write
      + tickets: default, scope tickets:read
- role writer for agent desk

0 to make, 3 to change, 1 to end.
`,
  );
});

test('a change that the server refuses stops there, and says what was done', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  cli.write('fleet.yaml', 'teams: { ops: {} }\nagents:\n  bot: { owner: ops, environment: "No Slug" }\n');
  const { code, out, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
  assert.equal(code, exitCodes.usage.code);
  assert.match(err, /Stopped at agent bot: Environment must be/);
  assert.match(err, /1 of 2 changes were made/);
  assert.doesNotMatch(out, /Done/);
});

const secret = { ...(await generateJwk('ES256')) };

for (const [what, text, ...parts] of [
  ['a field that there isn’t', 'agents:\n  bot:\n    ownr: x\n', 'line 3: agents.bot.ownr is not known', '"owner"'],
  ['a noun that there isn’t', 'agnets: {}\n', 'line 1: agnets is not known', '"agents"'],
  ['no owner', 'agents:\n  bot:\n    purpose: x\n', 'agents.bot.owner is missing'],
  [
    'an operation that isn’t one',
    'resources:\n  a:\n    identifier: https://a\n    operations: [get it]\n',
    'line 4',
    'GET /tickets',
  ],
  [
    'an operation with a wrong field',
    'resources:\n  a:\n    identifier: https://a\n    operations:\n      - { methd: GET }\n',
    'line 5',
    '"method"',
  ],
  ['a name that can’t be one', 'roles: { "No Slug": {} }\n', 'line 1', 'lowercase'],
  ['a kind that there isn’t', 'agents: { bot: { owner: x, kind: robot } }\n', 'ai_agent, workload, device'],
  ['the same name twice', 'agents:\n  bot: { owner: x }\n  bot: { owner: y }\n', 'line 3 is not valid YAML'],
  [
    'an owner that there isn’t',
    'agents: { bot: { owner: nobody } }\n',
    'line 1: agents.bot.owner',
    'no team or person "nobody"',
  ],
  [
    'a private key',
    `agents: { bot: { owner: operators, keys: [{ jwk: ${JSON.stringify(secret)} }] } }\n`,
    'private key',
  ],
  [
    'everything at once that leads nowhere',
    'teams: { ops: { members: [Bob] } }\nroles:\n  r:\n    permissions: { nope: [a] }\nagents:\n  bot:\n    owner: team:oops\n    roles: [reader]\n    resources: [gone]\n    keys: [no.json]\n  bot-2: { owner: ops }\n',
    'has 6 mistakes',
    'line 1: teams.ops.members.0 names "Bob"',
    'line 4: roles.r.permissions.nope names "nope", and there is no resource',
    'line 7: agents.bot.owner names "team:oops"'.replace('team:oops', 'oops'),
    'line 8: agents.bot.roles.0 names "reader"',
    'line 9: agents.bot.resources.gone names "gone"',
    'line 10: agents.bot.keys.0',
  ],
  [
    'a scope that the resource doesn’t have',
    'resources: { a: { identifier: https://a.example, operations: [GET / a:read] } }\nroles:\n  r: { permissions: { a: [a:raed] } }\nagents:\n  bot: { owner: operators, resources: { a: { scope: [a:red] } } }\n',
    'line 5: agents.bot.resources.a names scopes',
    "line 3: roles.r.permissions.a names scopes that the resource doesn't have: a:raed. Did you mean",
  ],
  ['an empty file', '# nothing\n', 'describes nothing'],
  ['a file with nothing under its heads', 'organization: default\nagents: {}\n', 'describes nothing'],
  ['a key file that is not there', 'agents: { bot: { owner: operators, keys: [no.json] } }\n', 'no.json'],
  [
    'tokens for an hour',
    'resources: { a: { identifier: https://a, token: { lifetime_seconds: 3600 } } }\n',
    'at most 900',
  ],
  ['a lease of an hour', 'resources: { a: { identifier: https://a, feed: { lease_seconds: 3600 } } }\n', '0.5 to 30'],
] as [string, string, ...string[]][]) {
  test(`apply refuses ${what}, with file, line and field`, async (t) => {
    const server = await startServer();
    t.after(() => server.close());
    const cli = commandLine(server);
    t.after(() => cli.close());
    cli.write('fleet.yaml', text);
    for (const flags of [['--dry-run', '--prune'], []]) {
      const dry = await cli('apply', '-f', 'fleet.yaml', '--yes', ...flags);
      assert.deepEqual([dry.code, dry.out], [exitCodes.usage.code, ''], 'a wrong file: nothing is shown');
    }
    const { err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
    for (const part of parts) assert.ok(err.includes(part), `${err}\n(should say ${part})`);
    assert.ok(!err.includes(secret.d));
    const { items } = await server.admin<{ items: { name: string }[] }>('GET', '/agents');
    assert.deepEqual(
      items.map(({ name }) => name),
      ['operator'],
      'nothing was made',
    );
  });
}

test('a missing file is a wrong file', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  const { code, err } = await cli('apply', '-f', 'no.yaml', '--dry-run');
  assert.equal(code, exitCodes.usage.code);
  assert.match(err, /There is no file .*no\.yaml/);
});

test('a key that is somebody’s already is found before anything is made', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  await cli.json('agents', 'create', 'first', '--owner', 'operators', '--key-out', 'first.json');
  await cli.json('agents', 'create', 'past', '--owner', 'operators');
  const { id } = await cli.json<{ id: string }>('credentials', 'add', 'past', '--key-out', 'past.json');
  assert.equal((await cli('credentials', 'end', id, '--yes')).code, 0);
  cli.write(
    'fleet.yaml',
    'agents:\n  a: { owner: operators, keys: [first.json] }\n  b: { owner: operators, keys: [first.json, past.json] }\n',
  );
  const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
  assert.equal(code, exitCodes.usage.code);
  for (const part of ['line 2: agents.a.keys', 'registered for agent first', 'which agent a has', 'has ended'])
    assert.ok(err.includes(part), `${err}\n(should say ${part})`);
  assert.equal((await cli('agents', 'show', 'a')).code, exitCodes.not_found.code);
});

test('--prune asks for itself, with the count', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const setup = commandLine(server);
  t.after(() => setup.close());
  await setup.json('agents', 'create', 'one', '--owner', 'operators');
  await setup.json('agents', 'create', 'two', '--owner', 'operators');
  const questions: string[] = [];
  const ask = async (question: string) => {
    questions.push(question);
    return questions.length === 1 ? 'yes' : 'no';
  };
  const env = { BAILIWICK_IDENTITY: path.join(setup.folder, 'operator.json') };
  const cli = commandLine(server, { env, interactive: true, ask });
  t.after(() => cli.close());
  cli.write('fleet.yaml', 'agents:\n  three: { owner: operators }\n');
  assert.equal((await cli('apply', '-f', 'fleet.yaml', '--prune')).code, exitCodes.failed.code);
  assert.equal(questions.length, 2);
  assert.match(questions[1] ?? '', /--prune ends .*: 2 agents\./);
  assert.equal((await cli('agents', 'show', 'three')).code, exitCodes.not_found.code, 'nothing was made either');
  const sure = await cli('apply', '-f', 'fleet.yaml', '--prune', '--yes');
  assert.equal(sure.code, 0, sure.err);
  assert.match(sure.out, /--prune ends .*: 2 agents\./);
});

test('public keys stand in the file as they are', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  const jwk = publicJwk(secret);
  cli.write(
    'fleet.yaml',
    `agents: { bot: { owner: operators, keys: [{ jwk: ${JSON.stringify(jwk)}, label: laptop }] } }\n`,
  );
  await applied(cli);
  const { credentials } = await cli.json<{ credentials: { thumbprint: string; label: string }[] }>(
    'agents',
    'show',
    'bot',
  );
  assert.deepEqual(
    credentials.map(({ thumbprint, label }) => [thumbprint, label]),
    [[jwk.kid, 'laptop']],
  );
});
