/** Details and inheritance, from files and on the command line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandLine } from '../../testing/command-line.ts';
import { startServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';

const fleet = `
teams:
  payments: {}
resources:
  bank:
    identifier: https://bank.example.com
    scopes: { transfers: Move money }
    details_types:
      transfer:
        description: Move money from an account
        schema:
          type: object
          properties: { account: { type: string }, amount: { type: number } }
        compare: { amount: at_most }
    operations:
      - GET /accounts/{account} accounts:read low
      - method: POST
        path: /accounts/{account}/transfers
        scope: transfers
        details: { type: transfer, account: '{account}' }
        sensitivity: high
roles:
  heir:
    permissions: { bank: [transfers] }
    inherits: [reader, small]
  reader:
    permissions: { bank: [accounts:read] }
  small:
    details: { bank: [{ type: transfer, amount: 100 }] }
agents:
  payer:
    owner: team:payments
    resources: [bank]
    roles: [heir]
`;

test('apply: types of details, what operations take, bounds and inheritance', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  const changes = async () => {
    const { out, err } = await cli('apply', '-f', 'fleet.yaml', '--dry-run', '--json');
    assert.ok(out !== '', err);
    return (JSON.parse(out).changes as { action: string; noun: string; name: string }[]).map(
      ({ action, noun, name }) => `${action} ${noun} ${name}`,
    );
  };
  const apply = async () => {
    const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
    assert.equal(code, 0, err);
    assert.deepEqual(await changes(), [], 'a second time it changes nothing');
  };
  cli.write('fleet.yaml', fleet);
  assert.deepEqual(
    (await changes()).filter((line) => line.includes('role')),
    ['create role reader', 'create role small', 'create role heir'],
    'those that are inherited come first',
  );
  await apply();
  const role = await cli.json<{ inherits: string[] }>('roles', 'show', 'heir');
  assert.equal(role.inherits.length, 2);
  const agent = await cli.json<{ resources: { scope: string[] }[]; roles: { name: string }[] }>(
    'agents',
    'show',
    'payer',
  );
  assert.deepEqual(
    agent.resources[0]?.scope.toSorted(),
    ['accounts:read', 'transfers'],
    'inherited scopes are meant, too',
  );
  assert.deepEqual(
    agent.roles.map(({ name }) => name),
    ['heir'],
    'what it holds is what it was given',
  );

  cli.write('fleet.yaml', fleet.replace('amount: at_most', 'amount: equal').replace('amount: 100', 'amount: 50'));
  assert.deepEqual(await changes(), ['update resource bank', 'update role small']);
  await apply();
  cli.write('fleet.yaml', fleet.replace("        details: { type: transfer, account: '{account}' }\n", ''));
  assert.deepEqual(await changes(), ['update resource bank', 'update role small']);

  const wrong = async (from: string, to: string) => {
    cli.write('fleet.yaml', fleet.replace(from, to));
    const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
    assert.notEqual(code, 0);
    return err;
  };
  assert.match(
    await wrong('inherits: [reader, small]', 'inherits: [reader, smal]'),
    /names "smal", and there is no role "smal".*small/s,
  );
  assert.match(await wrong('details: { bank: [', 'details: { banc: ['), /names "banc", and there is no resource/);
  assert.match(await wrong('amount: at_most', 'amount: below'), /must be one of equal, subset/);
  assert.match(
    await wrong('amount: { type: number }', 'amount: { pattern: "(?=x)" }'),
    /etails_types\[0\]\.schema\.properties\.amount\.pattern/,
  );
});

test('roles and resources on the command line', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  cli.write(
    'bank.yaml',
    `identifier: https://bank.example.com
details_types: { transfer: { description: Move money, schema: { type: object, properties: { account: {}, amount: { type: number } } }, compare: { amount: at_most } } }
operations:
  - { method: POST, path: '/accounts/{account}/transfers', scope: transfers, details: { type: transfer, account: '{account}' } }
`,
  );
  await cli.json('resources', 'create', '--name', 'bank', '-f', 'bank.yaml');
  const shown = await cli('resources', 'show', 'bank');
  assert.match(shown.out, /transfer: Move money \(amount at_most\)/);
  assert.match(shown.out, /transfers and \{"type":"transfer","account":"\{account\}"\}/);

  // a line has no place for details: it must not take them away
  await cli.json('resources', 'update', 'bank', '--operation', 'POST /accounts/{account}/transfers transfers high');
  const { operations } = await cli.json<{ operations: { details?: object; sensitivity: string }[] }>(
    'resources',
    'show',
    'bank',
  );
  assert.deepEqual(
    operations.map(({ details, sensitivity }) => [details !== undefined, sensitivity]),
    [[true, 'high']],
  );

  const small = await cli.json<{ permissions: { details: object[] }[] }>(
    'roles',
    'create',
    'small',
    '--permission',
    'bank=transfers',
    '--details',
    'bank={"type":"transfer","amount":100}',
  );
  assert.deepEqual(small.permissions[0]?.details, [{ type: 'transfer', amount: 100 }]);
  await cli.json('roles', 'create', 'heir', '--inherit', 'small');
  assert.match((await cli('roles', 'show', 'heir')).out, /inherits +small/);
  assert.match((await cli('roles', 'list')).out, /bank: transfers \{"type":"transfer","amount":100\}/);
  const bare = await cli.json<{ inherits: string[] }>('roles', 'update', 'heir', '--inherit', 'none');
  assert.deepEqual(bare.inherits, []);

  for (const [args, says] of [
    [['roles', 'create', 'x'], /gives nothing/],
    [['roles', 'create', 'x', '--details', 'bank'], /it reads RESOURCE=JSON/],
    [['roles', 'create', 'x', '--details', 'bank={type}'], /it reads RESOURCE=JSON/],
    [['roles', 'create', 'x', '--inherit', 'nobody'], /nobody/],
    [['roles', 'create', 'x', '--details', 'bank={"type":"payment"}'], /is no type of details that this resource has/],
  ] as const) {
    const { code, err } = await cli(...args);
    assert.notEqual(code, exitCodes.ok?.code ?? 0);
    assert.match(err, says);
  }
});
