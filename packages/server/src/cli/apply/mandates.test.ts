/** What people let agents do, as a file says it. */
import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';
import type { Mandate } from '../mandate-words.ts';

const inDays = (server: TestServer, days: number) => new Date(server.clock.now() + days * 86_400_000).toISOString();

const fleetOf = (server: TestServer) => `
people: { Ada Lovelace: {} }
teams: { ops: {} }
resources:
  trips:
    identifier: https://trips.example.com
    scopes: { trips:read: See, trips:book: Book }
    details_types:
      payment:
        schema: { type: object, properties: { amount: { type: number }, currency: { type: string } } }
        compare: { amount: at_most }
agents:
  desk: { owner: ops, resources: [trips] }
  helper: { owner: ops, resources: [trips] }
mandates:
  ada-trips:
    person: Ada Lovelace
    agent: desk
    resources:
      trips:
        scope: [trips:read, trips:book]
        details: [{ type: payment, amount: 100 }]
    context: { ip: [10.0.0.0/8] }
    task: { workflow: travel }
    limits: { uses: 20, amounts: [{ type: payment, amount: /amount, unit: { at: /currency, is: EUR }, total: 500.5 }] }
    passing: { depth: 2, to: [helper] }
    expires_at: ${inDays(server, 30)}
`;

let server: TestServer;
let cli: CommandLine;
let fleet: string;
const close = async () => {
  cli?.close();
  await server?.close();
};
beforeEach(async () => {
  await close();
  server = await startServer();
  cli = commandLine(server);
  fleet = fleetOf(server);
});
after(close);

async function apply(text: string, ...flags: string[]): Promise<string> {
  cli.write('fleet.yaml', text);
  const { code, out, err } = await cli('apply', '-f', 'fleet.yaml', '--yes', ...flags);
  assert.equal(code, 0, err);
  assert.match((await cli('apply', '-f', 'fleet.yaml', '--dry-run', ...flags)).out, /^Nothing to change/);
  return out;
}

async function refused(text: string, code: number): Promise<string> {
  cli.write('fleet.yaml', text);
  const answer = await cli('apply', '-f', 'fleet.yaml', '--yes');
  assert.equal(answer.code, code, answer.out);
  assert.equal(answer.out, '', 'nothing is shown, and nothing done');
  return answer.err;
}

const all = async () => (await cli.json<{ items: Mandate[] }>('mandates', 'list', '--all')).items;

test('given with all that it says beside agents that are new, and narrowed', async () => {
  await apply(fleet);
  const [given, ...others] = await all();
  assert.deepEqual(others, []);
  const { name, resources, context, task, limits, passing, expires_at, given: how } = given as Mandate;
  const helper = await cli.json<{ id: string }>('agents', 'show', 'helper');
  assert.deepEqual(
    { name, resources, context, task, limits, passing, expires_at, way: how.way },
    {
      name: 'ada-trips',
      resources: [
        {
          resource: 'https://trips.example.com',
          scope: 'trips:read trips:book',
          authorization_details: [{ type: 'payment', amount: 100 }],
        },
      ],
      context: { ip: ['10.0.0.0/8'] },
      task: { workflow: 'travel' },
      limits: {
        uses: 20,
        amounts: [{ type: 'payment', amount: '/amount', unit: { at: '/currency', is: 'EUR' }, total: 500.5 }],
      },
      passing: { depth: 2, to: [helper.id] },
      expires_at: inDays(server, 30),
      way: 'administrator',
    },
  );
  const less = fleet
    .replace('scope: [trips:read, trips:book]', 'scope: [trips:read]')
    .replace('depth: 2', 'depth: 1')
    .replace('uses: 20', 'uses: 5')
    .replace('10.0.0.0/8', '10.1.0.0/16')
    .replace('    task: { workflow: travel }\n', '')
    .replace(inDays(server, 30), inDays(server, 20));
  const out = await apply(less);
  assert.match(out, /~ mandate ada-trips\n {4}resources:\n[\s\S]*\n {4}context:/);
  assert.doesNotMatch(out, /task/, 'what the file leaves out stays');
  const [narrowed] = await all();
  assert.equal(narrowed?.id, given?.id);
  assert.deepEqual(
    [narrowed?.resources[0]?.scope, narrowed?.passing.depth, narrowed?.limits?.uses, narrowed?.task],
    ['trips:read', 1, 5, { workflow: 'travel' }],
  );
});

test('what would be more is refused before anything is done, each in its words', async () => {
  await apply(fleet);
  for (const [from, to, says] of [
    ['amount: 100', 'amount: 101', '{"amount":101,"type":"payment"} on trips'],
    ['10.0.0.0/8', '10.0.0.0/7', 'context.ip'],
    ['workflow: travel', 'workflow: shopping', 'task.workflow'],
    ['uses: 20', 'uses: 21', 'limits.uses'],
    ['total: 500.5', 'total: 501', 'the limit of payment'],
    ['depth: 2', 'depth: 3', 'passing.depth'],
    ['to: [helper]', 'to: [helper, desk]', 'passing.to'],
    [inDays(server, 30), inDays(server, 31), 'expires_at'],
  ] as const) {
    assert.ok(fleet.includes(from));
    const err = await refused(fleet.replace(from, to), exitCodes.conflict.code);
    assert.ok(err.includes(`The mandate ada-trips would be more than it is: ${says}.`), err);
  }
  const err = await refused(fleet.replace('agent: desk', 'agent: helper'), exitCodes.conflict.code);
  assert.match(err, /The agent of mandate ada-trips is desk and never changes/);
});

test('taken out it stays, and ends with --prune; what people gave elsewhere is no file’s to end', async () => {
  await apply(fleet);
  const { person, agent, resources } = (await all())[0] as Mandate;
  const elsewhere = await server.admin<Mandate>('POST', '/mandates', {
    ...{ person, agent, resources, expires_in: 86_400, given: { way: 'consent' } },
  });
  const renamed = fleet.replace('  ada-trips:', '  ada-goes:');
  const statuses = async () => (await all()).map(({ name, status }) => [name, status]);
  await apply(renamed);
  assert.deepEqual(await statuses(), [
    ['ada-trips', 'active'],
    [undefined, 'active'],
    ['ada-goes', 'active'],
  ]);
  const gone = `${fleet.slice(0, fleet.indexOf('mandates:'))}`;
  await apply(gone, '--prune');
  assert.equal((await statuses()).filter(([, status]) => status === 'active').length, 3, 'the file speaks of none');
  const out = await apply(renamed, '--prune');
  assert.match(out, /- mandate ada-trips\n[\s\S]*--prune ends .*: 1 mandate\./);
  assert.deepEqual(await statuses(), [
    ['ada-trips', 'ended'],
    [undefined, 'active'],
    ['ada-goes', 'active'],
  ]);
  assert.equal((await cli.json<Mandate>('mandates', 'show', elsewhere.id)).status, 'active');
});

test('what somebody ended is not given again; what had its time is nothing to do, until the file says a later one', async () => {
  await apply(fleet);
  const [{ id }] = (await all()) as [Mandate];
  await cli.json('mandates', 'end', id, '--yes');
  const err = await refused(fleet, exitCodes.conflict.code);
  assert.match(err, /The mandate ada-trips was ended, and no file brings it back/);
  await apply(fleet.replace('  ada-trips:', '  ada-again:'));
  server.clock.advance(31 * 86_400_000);
  await apply(fleet.replace('  ada-trips:', '  ada-again:'));
  const later = fleet.replaceAll(/expires_at: .*/g, `expires_at: ${inDays(server, 30)}`);
  assert.match(await apply(later), /\+ mandate ada-trips\n/);
});

test('what leads nowhere is named with its line', async () => {
  for (const [from, to, says] of [
    ['person: Ada Lovelace', 'person: Ada Lovelac', 'mandates.ada-trips.person names "Ada Lovelac"'],
    ['agent: desk', 'agent: dsk', 'mandates.ada-trips.agent names "dsk"'],
    ['      trips:\n        scope: [', '      trps:\n        scope: [', 'mandates.ada-trips.resources.trps names'],
    ['scope: [trips:read, trips:book]', 'scope: [trips:fly]', "scopes that the resource doesn't have: trips:fly"],
    ['to: [helper]', 'to: [hlper]', 'mandates.ada-trips.passing.to.0 names "hlper"'],
    ['    agent: desk\n', '', 'mandates.ada-trips.agent is missing'],
    ['depth: 2', 'depth: 5', 'must be a whole number from 0 to 4'],
  ] as const) {
    assert.ok(fleet.includes(from), from);
    const err = await refused(fleet.replace(from, to), exitCodes.usage.code);
    assert.ok(err.includes(says), err);
    assert.match(err, /line \d+/);
  }
});
