import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';

let server: TestServer;
let cli: CommandLine;

before(async () => {
  server = await startServer();
  cli = commandLine(server);
});
after(async () => {
  cli.close();
  await server.close();
});

interface Shown {
  id: string;
  name: string;
  status: string;
}

test('an API, its guard, a role and an agent, from nothing to a token and its end', async () => {
  const api = 'https://tickets.example.com/v1';
  const resource = await cli.json<Shown & { operations: unknown[]; scopes: { name: string }[] }>(
    ...['resources', 'create', api, '--name', 'tickets', '--scope', 'tickets:read=See tickets'],
    ...['--operation', 'GET /tickets tickets:read low', '--operation', 'POST /tickets tickets:write'],
  );
  assert.deepEqual(
    resource.scopes.map(({ name }) => name),
    ['tickets:read', 'tickets:write'],
  );
  assert.deepEqual(resource.operations[1], {
    ...{ name: 'POST /tickets', method: 'POST', path: '/tickets', scope: ['tickets:write'], sensitivity: 'medium' },
  });
  await cli.json('teams', 'create', 'support', '--display-name', 'Support');
  await cli.json('roles', 'create', 'reader', '--permission', 'tickets=tickets:read');
  const guard = await cli.json('guards', 'create', 'tickets', '--owner', 'team:support', '--key-out', 'guard.json');
  assert.equal(guard.name, 'tickets-guard');

  const agent = await cli.json<Shown & { key_file: string; resources: unknown[]; roles: Shown[] }>(
    ...['agents', 'create', 'desk', '--owner', 'support', '--role', 'reader', '--resource', 'tickets'],
    ...['--key-out', 'desk.json', '--purpose', 'Answers tickets'],
  );
  assert.deepEqual(agent.resources, [{ resource: resource.id, default: true, scope: ['tickets:read'] }]);
  assert.equal(agent.roles[0]?.name, 'reader');
  const file = path.join(cli.folder, 'desk.json');
  assert.equal(agent.key_file, file);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const identity = JSON.parse(readFileSync(file, 'utf8')) as { client_id: string; issuer: string };
  assert.deepEqual([identity.client_id, identity.issuer], [agent.id, server.issuer]);

  const token = await cli.json<{ token_type: string; claims: Record<string, unknown> }>(
    'token',
    '--identity',
    'desk.json',
  );
  assert.equal(token.token_type, 'DPoP');
  assert.deepEqual([token.claims.aud, token.claims.scope, token.claims.client_id], [api, 'tickets:read', agent.id]);

  const shown = await cli('agents', 'show', 'desk');
  for (const part of [agent.id, 'support', 'reader', 'Answers tickets', 'tickets: tickets:read']) {
    assert.ok(shown.out.includes(part), shown.out);
  }

  cli.write('later.cedar', '@id("later") @step_up("approval") forbid (principal, action, resource);\n');
  assert.equal((await cli('policy', 'save', 'later.cedar', '--reason', 'a test', '--yes')).code, 0);
  const notYet = JSON.parse((await cli('token', '--identity', 'desk.json', '--json')).err);
  assert.deepEqual([notYet.error.error, notYet.error.requirements], ['step_up_required', [{ type: 'approval' }]]);
  assert.equal((await cli('policy', 'remove', 'later', '--reason', 'a test', '--yes')).code, 0);

  assert.equal((await cli('roles', 'revoke', 'reader', 'desk', '--yes')).code, 0);
  const refused = await cli('token', '--identity', 'desk.json');
  assert.equal(refused.code, exitCodes.refused.code);
  assert.match(refused.err, /invalid_scope/);

  assert.equal((await cli('roles', 'grant', 'reader', 'desk')).code, 0);
  assert.equal((await cli('agents', 'suspend', 'desk', '--reason', 'odd')).code, 0);
  assert.equal((await cli('token', '--identity', 'desk.json')).code, exitCodes.refused.code);
  const told = JSON.parse((await cli('token', '--identity', 'desk.json', '--json')).err);
  assert.equal(told.error.error, 'unauthorized_client', 'programs are told the code of the token endpoint');
  assert.equal((await cli('agents', 'resume', 'desk')).code, 0);
  assert.equal((await cli('token', '--identity', 'desk.json')).code, 0);

  const log = await cli('events', 'list', '--agent', 'desk', '--outcome', 'refused', '--json');
  const events = log.out.trimEnd().split('\n');
  assert.ok(events.length >= 2);
  for (const line of events) assert.equal((JSON.parse(line) as { agent: string }).agent, agent.id);

  assert.equal((await cli('agents', 'retire', 'desk', '--yes')).code, 0);
  assert.equal((await cli('token', '--identity', 'desk.json')).code, exitCodes.refused.code);
  const { items } = await cli.json<{ items: Shown[] }>('agents', 'list', '--status', 'retired');
  assert.deepEqual(
    items.map(({ name }) => name),
    ['desk'],
  );
});

test('the token itself is shown with --raw and never else', async () => {
  const raw = (await cli('token', '--raw')).out.trim();
  assert.match(raw, /^[\w-]+\.[\w-]+\.[\w-]+$/);
  for (const argv of [['token'], ['token', '--json']]) {
    const { out } = await cli(...argv);
    assert.match(out, /admin/);
    assert.doesNotMatch(out, /[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}/);
  }
});

test('private keys stay in their file', async () => {
  await cli.json('agents', 'create', 'keeper', '--owner', 'operators', '--key-out', 'keeper.json');
  const { d } = (JSON.parse(readFileSync(path.join(cli.folder, 'keeper.json'), 'utf8')) as { jwk: { d: string } }).jwk;
  const added = await cli('credentials', 'add', 'keeper', '--key-out', 'keeper-2.json', '--label', 'second', '--json');
  assert.equal(added.code, 0, added.err);
  const { out } = await cli('credentials', 'list', '--agent', 'keeper', '--json');
  assert.ok(!`${added.out}${out}`.includes(d));
  assert.ok(!JSON.stringify(await server.admin('GET', '/events?limit=200')).includes(d));
  assert.equal((JSON.parse(out) as { items: unknown[] }).items.length, 2);

  const again = await cli('agents', 'create', 'other', '--owner', 'operators', '--key-out', 'keeper.json');
  assert.equal(again.code, exitCodes.conflict.code);
  assert.match(again.err, /a key is never overwritten/);
  assert.equal((await cli('agents', 'show', 'other')).code, exitCodes.not_found.code);

  const taken = await cli('agents', 'create', 'keeper', '--owner', 'operators', '--key-out', 'new.json');
  assert.equal(taken.code, exitCodes.conflict.code);
  assert.throws(() => statSync(path.join(cli.folder, 'new.json')), 'a key file of nobody was left behind');
});

test('a key that exists is taken by its public half, and ends when it is ended', async () => {
  await cli.json('agents', 'create', 'maker', '--owner', 'operators', '--key-out', 'maker.json');
  const { jwk } = JSON.parse(readFileSync(path.join(cli.folder, 'maker.json'), 'utf8')) as { jwk: object };
  const twice = await cli('credentials', 'add', 'maker', '--key', cli.write('bare.json', JSON.stringify(jwk)));
  assert.equal(twice.code, exitCodes.conflict.code, twice.err);

  const second = await cli.json<Shown>('credentials', 'add', 'maker', '--key-out', 'second.json', '--alg', 'EdDSA');
  assert.equal((await cli('token', 'https://x.example', '--identity', 'second.json')).code, exitCodes.refused.code);
  const ended = await cli('credentials', 'end', second.id, '--yes');
  assert.equal(ended.code, 0, ended.err);
  const { items } = await cli.json<{ items: Shown[] }>('credentials', 'list', '--agent', 'maker');
  assert.equal(items.length, 1);
});

test('a key that is taken does not spend the name of a new agent', async () => {
  await cli.json('agents', 'create', 'holder', '--owner', 'operators', '--key-out', 'holder.json');
  const twice = await cli('agents', 'create', 'second-holder', '--owner', 'operators', '--key', 'holder.json');
  assert.equal(twice.code, exitCodes.conflict.code, twice.err);
  assert.match(twice.err, /registered already \(crd_.*nothing was made/);
  assert.equal((await cli('agents', 'show', 'second-holder')).code, exitCodes.not_found.code);

  // who may not see the keys of others is told what is left to do
  const scopes = 'agents:read,agents:write,credentials:write,teams:read,people:read';
  await cli.json('roles', 'create', 'maker-only', '--permission', `Bailiwick admin API=${scopes}`);
  const flags = ['--role', 'maker-only', '--resource', 'Bailiwick admin API', '--key-out', 'narrow.json'];
  await cli.json('agents', 'create', 'narrow', '--owner', 'operators', ...flags);
  const narrow = ['--owner', 'team:operators', '--key', 'holder.json', '--identity', 'narrow.json'];
  const half = await cli('agents', 'create', 'third-holder', ...narrow);
  assert.equal(half.code, exitCodes.conflict.code, half.err);
  assert.match(half.err, /third-holder exists now, without a key: `bailiwick credentials add third-holder --key/);
});

test('PEM keys are taken, and only their public half is sent', async () => {
  const made = [
    ['ed', generateKeyPairSync('ed25519'), 'EdDSA'],
    ['ec', generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'ES256'],
    ['rsa', generateKeyPairSync('rsa', { modulusLength: 2048 }), 'PS256'],
  ] as const;
  for (const [name, { privateKey }, alg] of made) {
    cli.write(`${name}.pem`, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
    const { code, out, err } = await cli(
      'agents',
      'create',
      `pem-${name}`,
      '--owner',
      'operators',
      '--key',
      `${name}.pem`,
    );
    assert.equal(code, 0, err);
    assert.match(out, new RegExp(`Only the public half of the key in ${name}\\.pem was sent`));
    const { items } = await cli.json<{ items: { alg: string }[] }>('credentials', 'list', '--agent', `pem-${name}`);
    assert.deepEqual(
      items.map((one) => one.alg),
      [alg],
    );
  }
  const { publicKey } = generateKeyPairSync('ed25519');
  cli.write('public.pem', publicKey.export({ type: 'spki', format: 'pem' }) as string);
  const open = await cli('agents', 'create', 'pem-public', '--owner', 'operators', '--key', 'public.pem');
  assert.doesNotMatch(open.out, /Only the public half/);
  const format = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' } as const;
  cli.write('locked.pem', generateKeyPairSync('ed25519').privateKey.export(format) as string);
  const locked = await cli('agents', 'create', 'pem-locked', '--owner', 'operators', '--key', 'locked.pem');
  assert.equal(locked.code, exitCodes.usage.code);
  assert.match(locked.err, /openssl pkey/);
});

test('a resource can be made from a file and changed piece by piece', async () => {
  cli.write(
    'crm.yaml',
    'identifier: https://crm.example.com\noperations: [GET /people crm:read low]\ntoken: { alg: EdDSA, lifetime_seconds: 120 }\n',
  );
  const made = await cli.json<{ id: string; token: object }>('resources', 'create', '--name', 'crm', '-f', 'crm.yaml');
  assert.deepEqual(made.token, { alg: 'EdDSA', typ: 'at+jwt', lifetime_seconds: 120, dangerously_bearer: false });
  const more = await cli.json<{ operations: { name: string; sensitivity: string }[]; scopes: object[] }>(
    ...['resources', 'update', 'https://crm.example.com', '--operation', 'GET /people crm:read high'],
    ...['--operation', 'tool:call crm:call medium'],
  );
  assert.deepEqual(
    more.operations.map(({ name, sensitivity }) => `${name} ${sensitivity}`),
    ['GET /people high', 'call medium'],
  );
  assert.equal(more.scopes.length, 2);
  const followed = await cli.json<{ feed: object }>(
    ...['resources', 'update', 'crm', '--feed-lease-seconds', '0.5', '--feed-when-lost', 'refuse'],
  );
  assert.deepEqual(followed.feed, { lease_seconds: 0.5, when_lost: 'refuse' });
  assert.match((await cli('resources', 'show', 'crm')).out, /leases of 0\.5 s; a guard that has lost it: refuses all/);
  for (const [flag, value] of [
    ['--feed-lease-seconds', '31'],
    ['--feed-lease-seconds', 'two'],
    ['--feed-when-lost', 'accept'],
  ] as const) {
    const { code, err } = await cli('resources', 'update', 'crm', flag, value);
    assert.equal(code, exitCodes.usage.code);
    assert.match(err, new RegExp(`${flag} must be`));
  }
  const less = await cli.json<{ operations: object[] }>('resources', 'update', 'crm', '--remove-operation', 'call');
  assert.equal(less.operations.length, 1);
  assert.equal((await cli('resources', 'update', 'crm', '--remove-operation', 'nope')).code, exitCodes.not_found.code);
  assert.equal((await cli('resources', 'update', 'crm')).code, exitCodes.usage.code);
  const wrong = await cli('resources', 'update', 'crm', '--operation', 'get people');
  assert.match(wrong.err, /must read like "GET \/tickets/);
  for (const [line, part] of [
    ['GET /people crm:read hihg', '"hihg" is not a sensitivity (low, medium, high). Did you mean "high"?'],
    ['GET people crm:read', 'the path "people" must begin with a slash'],
    ['get /people crm:read', '"get" is not an HTTP method'],
    ['GET /people', 'the scope that it needs is missing'],
    ['GET /people crm:read low more', '"more" is too much'],
    ['tool: crm:call', 'the name of the tool is missing'],
  ] as const) {
    const { code, err } = await cli('resources', 'update', 'crm', '--operation', line);
    assert.equal(code, exitCodes.usage.code);
    assert.ok(err.includes(part), `${err}\n(should say ${part})`);
  }
  const retired = await cli('resources', 'retire', 'crm', '--yes');
  assert.equal(retired.code, 0, retired.err);
});

test('an agent that can’t do anything yet is told what helps, and it does', async () => {
  await cli.json('resources', 'create', 'https://late.example.com', '--name', 'late', '--operation', 'GET / late:read');
  await cli.json('roles', 'create', 'late-reader', '--permission', 'late=late:read');
  const bare = await cli('agents', 'create', 'early', '--owner', 'operators', '--key-out', 'early.json');
  assert.match(bare.out, /holds no role.*roles grant ROLE early.*agents update early --resource RESOURCE/);
  const given = await cli('agents', 'create', 'early-2', '--owner', 'operators', '--role', 'late-reader');
  assert.match(given.out, /given no resource.*agents update early-2 --resource RESOURCE/);

  await cli.json('agents', 'update', 'early', '--resource', 'late');
  const granted = await cli('roles', 'grant', 'late-reader', 'early');
  assert.match(granted.out, /agents update early --resource RESOURCE/);
  const refused = await cli('token', '--identity', 'early.json');
  assert.equal(refused.code, exitCodes.refused.code);
  assert.match(refused.err, /--scope SCOPE.*agents update agt_\w+ --resource RESOURCE/);
  const api = 'https://late.example.com';
  assert.equal((await cli('token', api, '--scope', 'late:read', '--identity', 'early.json')).code, 0);
  await cli.json('agents', 'update', 'early', '--resource', 'late');
  assert.equal((await cli('token', '--identity', 'early.json')).code, 0);
  const whole = await cli(
    'agents',
    'create',
    'whole',
    '--owner',
    'operators',
    '--role',
    'late-reader',
    '--resource',
    'late',
  );
  assert.doesNotMatch(whole.out, /yet, since/);
});

test('messages name options, as they were given', async () => {
  await cli.json('agents', 'create', 'flagged', '--owner', 'operators');
  const past = await cli('agents', 'update', 'flagged', '--expires', 'tomorrow');
  assert.equal(past.code, exitCodes.usage.code);
  assert.match(past.err, /^--expires must/);
  const scope = await cli('roles', 'create', 'odd', '--permission', 'Bailiwick admin API=no:such');
  assert.match(scope.err, /^--permission must/);
  const type = await cli('events', 'list', '--type', 'nothing');
  assert.match(type.err, /^--type must/);
});

test('a name is for one living resource, and lists say what has ended', async () => {
  const make = (identifier: string) => cli('resources', 'create', identifier, '--name', 'twin');
  assert.equal((await make('https://twin-1.example.com')).code, 0);
  const second = await make('https://twin-2.example.com');
  assert.equal(second.code, exitCodes.conflict.code);
  assert.match(second.err, /twin exists already \(res_\w+, https:\/\/twin-1/);
  assert.equal((await cli('resources', 'create', 'no-url')).code, exitCodes.usage.code);
  assert.equal((await cli('resources', 'retire', 'twin', '--yes')).code, 0);
  assert.match((await cli('resources', 'list')).out, /^twin +retired +https:\/\/twin-1/m);
  assert.equal((await make('https://twin-2.example.com')).code, 0);
  assert.match((await cli('roles', 'list')).out, /^operator +active +built in/m);
  assert.match((await cli('people', 'list')).out, /STATUS|No people/);

  // over the API there may be several of a name
  await server.admin('POST', '/resources', { identifier: 'https://twin-3.example.com', name: 'twin' });
  const both = await cli('resources', 'show', 'twin');
  assert.equal(both.code, exitCodes.usage.code);
  assert.match(both.err, /There are 2 of the name "twin": res_\w+ \(https:.*, res_\w+ \(https:/);
});

test('the log can be read by the name, identifier or id of a resource', async () => {
  const resource = await cli.json<Shown>('resources', 'create', 'https://logged.example.com', '--name', 'logged');
  await cli.json(
    'agents',
    'create',
    'logging',
    '--owner',
    'operators',
    '--resource',
    'logged',
    '--key-out',
    'log.json',
  );
  const asked = await cli('token', 'https://logged.example.com', '--scope', 'no', '--identity', 'log.json');
  assert.equal(asked.code, exitCodes.refused.code);
  for (const name of ['logged', 'https://logged.example.com', resource.id]) {
    const { out } = await cli('events', 'list', '--resource', name, '--type', 'token.refused', '--json');
    assert.equal(out.trimEnd().split('\n').filter(Boolean).length, 1, name);
  }
  for (const name of ['loged', 'https://nowhere.example.com', 'res_00000000000000000000000000']) {
    assert.equal((await cli('events', 'list', '--resource', name)).code, exitCodes.not_found.code, name);
  }
});

test('owners and organizations', async () => {
  const ada = await cli.json<Shown>('people', 'create', 'Ada Lovelace', '--email', 'ada@example.com');
  await cli.json('teams', 'create', 'analysts', '--member', 'ada@example.com');
  await cli.json('agents', 'create', 'engine', '--owner', 'person:Ada Lovelace');
  const erased = await cli('people', 'erase', 'ada@example.com');
  assert.equal(erased.code, exitCodes.conflict.code);
  assert.match(
    erased.err,
    /^Ada Lovelace answers for engine: give them another owner first\.\n.*agents update engine --owner/,
  );
  await cli.json('agents', 'update', 'engine', '--owner', 'person:ada@example.com');
  await cli.json('agents', 'update', 'engine', '--owner', 'analysts', '--tokens-per-minute', '10');
  const owned = await cli.json<{ items: Shown[] }>('agents', 'list', '--owner', 'analysts');
  assert.deepEqual(
    owned.items.map(({ name }) => name),
    ['engine'],
  );
  assert.ok((await cli('people', 'list')).out.includes(ada.id));

  await cli.json('organizations', 'create', 'acme');
  assert.match((await cli('organizations', 'show', 'acme')).out, /time zone +UTC/);
  const moved = await cli.json<{ time_zone: string }>(
    'organizations',
    'update',
    'acme',
    '--time-zone',
    'Europe/Berlin',
  );
  assert.equal(moved.time_zone, 'Europe/Berlin');
  assert.match((await cli('organizations', 'list')).out, /acme .*Europe\/Berlin/);
  assert.match((await cli('organizations', 'update', 'acme', '--time-zone', 'Berlin')).err, /IANA name of a time zone/);
  assert.equal((await cli('organizations', 'update', 'acme')).code, exitCodes.usage.code);
  assert.equal((await cli('organizations', 'show', 'acne')).code, exitCodes.not_found.code);
  await cli.json('--organization', 'acme', 'teams', 'create', 'ops');
  const there = await cli.json<{ items: Shown[] }>('teams', 'list', '--organization', 'acme');
  assert.deepEqual(
    there.items.map(({ name }) => name),
    ['ops'],
  );
  assert.ok(!(await cli('teams', 'list')).out.includes('ops '));
});

test('without an owner, the choices are named', async () => {
  const { code, err } = await cli('agents', 'create', 'orphan');
  assert.equal(code, exitCodes.usage.code);
  assert.match(err, /needs an owner/);
  assert.match(err, /--owner team:operators/);
});

test('names or ids will do, and a wrong one is answered with the nearest', async () => {
  const { agent } = await cli.json<{ agent: Shown }>('operator', 'show');
  assert.equal((await cli('agents', 'show', agent.id)).code, 0);
  const { code, err } = await cli('agents', 'show', 'oprator');
  assert.equal(code, exitCodes.not_found.code);
  assert.match(err, /Did you mean "operator"\?/);
  assert.equal((await cli('agents', 'show', 'Operator!')).code, exitCodes.not_found.code);
});

test('what ends something asks, and is refused where nobody answers', async () => {
  await cli.json('agents', 'create', 'doomed', '--owner', 'operators');
  const alone = await cli('agents', 'retire', 'doomed');
  assert.equal(alone.code, exitCodes.usage.code);
  assert.match(alone.err, /Add --yes/);

  const questions: string[] = [];
  const env = { BAILIWICK_IDENTITY: path.join(cli.folder, 'operator.json') };
  const answer = (text: string) => async (question: string) => {
    questions.push(question);
    return text;
  };
  const no = commandLine(server, { env, interactive: true, ask: answer('n') });
  assert.equal((await no('agents', 'retire', 'doomed')).code, exitCodes.failed.code);
  const yes = commandLine(server, { env, interactive: true, ask: answer('yes') });
  assert.equal((await yes('agents', 'retire', 'doomed')).code, 0);
  assert.match(questions[0] ?? '', /ends doomed .* for good/);
  no.close();
  yes.close();
});

test('the server’s keys can be seen and rotated', async () => {
  const next = await cli.json<{ kid: string }>('keys', 'rotate');
  const { items: all } = await cli.json<{ items: { kid: string; alg: string; state: string }[] }>('keys', 'list');
  const items = all.filter(({ alg }) => alg === 'ES256');
  assert.deepEqual(
    items.map(({ state }) => state),
    ['signing', 'published'],
  );
  assert.equal(items[1]?.kid, next.kid);
  assert.equal((await cli.json<{ kid: string }>('keys', 'rotate')).kid, next.kid);
  assert.equal((await cli('keys', 'rotate', '--all', '--alg', 'ES256')).code, exitCodes.usage.code);
  const each = await cli.json<{ items: { kid: string; alg: string }[] }>('keys', 'rotate', '--all');
  assert.deepEqual(each.items.map(({ alg }) => alg).toSorted(), ['ES256', 'EdDSA', 'PS256', 'RS256']);
  const after = await cli.json<{ items: { kid: string; alg: string }[] }>('keys', 'list');
  for (const { kid, alg } of each.items) {
    assert.equal(after.items.findLast((key) => key.alg === alg)?.kid, kid, 'the newest of its algorithm');
  }
});

test('a server that does not answer, and an identity that it does not know', async () => {
  const away = { ...server.operator, issuer: 'http://localhost:1' };
  const gone = await cli('agents', 'list', '--identity', cli.write('away.json', JSON.stringify(away)));
  assert.equal(gone.code, exitCodes.unreachable.code);
  assert.match(gone.err, /does not answer/);

  const stranger = { ...server.operator, client_id: 'agt_00000000000000000000000000' };
  const unknown = await cli('agents', 'list', '--identity', cli.write('stranger.json', JSON.stringify(stranger)));
  assert.equal(unknown.code, exitCodes.refused.code);
  assert.match(unknown.err, /does not accept this identity/);
});

test('tables fit a terminal, and pipes get everything', async () => {
  const name = `long-${'x'.repeat(50)}`;
  await cli.json('agents', 'create', name, '--owner', 'operators');
  const env = { BAILIWICK_IDENTITY: path.join(cli.folder, 'operator.json'), NO_COLOR: '1' };
  const narrow = commandLine(server, { env, columns: 80 });
  const { out } = await narrow('agents', 'list');
  for (const line of out.split('\n')) assert.ok(line.length <= 80, line);
  assert.match(out, /…/);
  assert.ok((await cli('agents', 'list')).out.includes(name));
  narrow.close();
});
