import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { type InstanceClient, instanceClient } from '../../testing/instance-client.ts';
import { type TokenClient, tokenClient } from '../../testing/token-client.ts';
import { exitCodes } from '../errors.ts';

let server: TestServer;
let cli: CommandLine;
let client: TokenClient;
let at: InstanceClient;

before(async () => {
  server = await startServer({ config: { limits: { tokens_per_minute: 10_000 } } });
  cli = commandLine(server);
  client = await tokenClient(server);
  at = instanceClient(server, client);
});
after(async () => {
  cli.close();
  await server.close();
});

const listed = async (...more: string[]) =>
  (await cli.json<{ items: { id: string; status: string }[] }>('instances', 'list', ...more)).items;

test('instances are listed, shown and ended, with their children', async () => {
  const parent = await at.instance({ body: { attributes: { zone: 'eu-1' } } });
  const child = await at.child(parent, {
    name: 'researcher',
    allowed: [{ resource: client.identifier, scope: 'tickets:read' }],
  });
  const other = await at.instance();
  assert.deepEqual((await listed()).map(({ id }) => id).sort(), [parent.id, child.id, other.id].sort());
  assert.deepEqual(
    (await listed('--parent', parent.id)).map(({ id }) => id),
    [child.id],
  );

  const table = await cli('instances', 'list', '--agent', client.clientId);
  assert.match(table.out, /researcher/);
  assert.match(table.out, /zone=eu-1/);
  const shown = await cli('instances', 'show', child.id);
  for (const part of [child.id, parent.id, 'researcher', 'zone: eu-1 (declared)', 'tickets:read', client.credential]) {
    assert.ok(shown.out.includes(part), `${part} is not in ${shown.out}`);
  }

  const asked = await cli('instances', 'end', parent.id);
  assert.equal(asked.code, exitCodes.usage.code, 'what can not be undone is asked for');
  assert.equal((await cli('instances', 'end', parent.id, '--yes')).code, 0);
  assert.deepEqual(
    (await listed()).map(({ id }) => id),
    [other.id],
  );
  assert.match((await cli('instances', 'end', parent.id)).out, /had ended already/);
  assert.deepEqual((await listed('--all')).map(({ status }) => status).sort(), ['active', 'ended', 'ended']);
  assert.equal((await at.tokenOf(child)).status, 401);

  for (let n = 0; n < 3; n++) await at.instance();
  const all = await cli('instances', 'end', '--agent', client.clientId, '--reason', 'bad release', '--yes');
  assert.match(all.out, /Ended 4 instances of agent-/);
  assert.deepEqual(await listed(), []);
  assert.equal((await at.tokenOf(other)).status, 401);
  const log = (await cli('events', 'list', '--agent', client.clientId)).out;
  assert.match(log, /instance\.ended .* bad release/);
  assert.equal(log.split('instance.ended').length - 1, 2, 'the one that was ended by its id too');
});

const wrong: [what: string, ...argv: string[]][] = [
  ['neither one nor all of an agent', 'instances', 'end', '--yes'],
  ['one and all of an agent', 'instances', 'end', 'ins_1', '--agent', 'desk', '--yes'],
  ['what is no id', 'instances', 'show', 'desk'],
  ['a parent that is no id', 'instances', 'list', '--parent', 'desk'],
];
for (const [what, ...argv] of wrong) {
  test(`${what} is a mistake that says what would be right`, async () => {
    const { code, err } = await cli(...argv);
    assert.equal(code, exitCodes.usage.code, err);
  });
}

test('a template is said with agents create and update, and in a fleet file', async () => {
  await cli.json('teams', 'create', 'support');
  const made = await cli.json<{ instances: object }>(
    ...['agents', 'create', 'desk', '--owner', 'support', '--instance-lifetime', '600', '--instances-at-most', '5'],
  );
  assert.deepEqual(made.instances, { lifetime_seconds: 600, live_at_most: 5 });
  const changed = await cli.json<{ instances: object }>('agents', 'update', 'desk', '--instance-depth', '0');
  assert.deepEqual(changed.instances, { lifetime_seconds: 600, live_at_most: 5, depth: 0 });
  assert.match((await cli('agents', 'show', 'desk')).out, /lifetime_seconds: 600/);
  const fleet = (template: string) => `agents:\n  desk:\n    owner: team:support\n    instances: ${template}\n`;
  cli.write(
    'fleet.yaml',
    fleet('{lifetime_seconds: 300, attributes: [{name: zone, provenance: orchestrated, values: [eu-1]}]}'),
  );
  const plan = await cli('apply', '-f', 'fleet.yaml', '--dry-run');
  assert.match(plan.out, /instances:[\s\S]*lifetime_seconds: 300/);
  assert.doesNotMatch(plan.out, /\[object/);
  assert.equal((await cli('apply', '-f', 'fleet.yaml', '--yes')).code, 0);
  assert.match((await cli('apply', '-f', 'fleet.yaml', '--yes')).out, /Nothing to change/);
  const { instances } = await server.admin<{ instances: object }>(
    'GET',
    `/agents/${(made as unknown as { id: string }).id}`,
  );
  assert.deepEqual(instances, {
    lifetime_seconds: 300,
    attributes: [{ name: 'zone', provenance: 'orchestrated', values: ['eu-1'] }],
  });
  cli.write('fleet.yaml', fleet('{lifetime_seconds: 5}'));
  const refused = await cli('apply', '-f', 'fleet.yaml', '--yes');
  assert.notEqual(refused.code, 0);
  assert.match(refused.err, /lifetime_seconds/);
});
