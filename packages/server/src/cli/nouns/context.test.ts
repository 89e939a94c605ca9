/** Where and when an agent's tokens may be used, on the command line and in a fleet file. */
import assert from 'node:assert/strict';
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
  context: Record<string, unknown>;
  instances: Record<string, unknown>;
}

test('an agent is limited, shown, and freed', async () => {
  const made = await cli.json<Shown>(
    ...[
      'agents',
      'create',
      'desk',
      '--owner',
      'operators',
      '--ip',
      '10.0.0.0/8,::ffff:192.0.2.1',
      '--ip',
      '2001:DB8::/32',
    ],
    ...['--country', 'DE', '--zone', 'eu-1', '--hours', 'mon-fri 08:00-18:00 Europe/Berlin', '--bind', 'address,zone'],
  );
  const days = ['mon', 'tue', 'wed', 'thu', 'fri'];
  const hours = [{ tz: 'Europe/Berlin', windows: [{ days, from: '08:00', to: '18:00' }] }];
  const ip = ['10.0.0.0/8', '192.0.2.1', '2001:db8::/32'];
  assert.deepEqual(made.context, { ip, country: ['DE'], zone: ['eu-1'], hours });
  assert.deepEqual(made.instances, { bind: ['address', 'zone'] });

  const { out } = await cli('agents', 'show', 'desk');
  for (const line of ['from 10.0.0.0/8, 192.0.2.1, 2001:db8::/32', 'in the country DE', 'in the zone eu-1']) {
    assert.ok(out.includes(line), out);
  }
  assert.match(out, /mon-fri 08:00-18:00 Europe\/Berlin/);

  const two = ['--hours', '22:00-06:00 UTC', '--hours', 'sat 00:00-24:00 UTC'];
  const after = await cli.json<Shown>(
    'agents',
    'update',
    'desk',
    '--ip',
    'any',
    '--country',
    'AT',
    '--bind',
    'none',
    ...two,
  );
  assert.deepEqual(after.context, {
    country: ['AT'],
    zone: ['eu-1'],
    hours: [
      { tz: 'UTC', windows: [{ days: ['sat'], from: '00:00', to: '24:00' }] },
      { tz: 'UTC', windows: [{ from: '22:00', to: '06:00' }] },
    ],
  });
  assert.deepEqual(after.instances, {});
});

test('what is written wrong is said before anything is asked', async () => {
  const wrong: [string[], RegExp][] = [
    [['--ip', 'office'], /--ip: ip must be a list of addresses/],
    [['--ip', '10.1.2.3/8'], /--ip: .*10\.0\.0\.0\/8/],
    [['--country', 'Germany'], /--country: .*two capitals/],
    [['--zone', 'eu 1'], /--zone: .*names of zones/],
    [['--hours', 'mon-fri 8-18 Europe/Berlin'], /--hours: hours are written like/],
    [['--hours', 'mon-fri 08:00-18:00'], /--hours: hours must end with a time zone/],
    [['--bind', 'host'], /--bind must be address, country, zone or none/],
  ];
  for (const [words, message] of wrong) {
    const { code, err } = await cli('agents', 'update', 'desk', ...words);
    assert.equal(code, exitCodes.usage.code, err);
    assert.match(err, message);
  }
});

test('a fleet file says it in the same words, and a second time it changes nothing', async () => {
  const fleet = (context: string) =>
    cli.write(
      'fleet.yaml',
      `agents:\n  courier:\n    owner: operators\n    context: ${context}\n    instances: { bind: [country] }\n`,
    );
  fleet('{ ip: [10.0.0.0/9, 10.128.0.0/9], hours: ["mon-fri 08:00-18:00 Europe/Berlin"] }');
  assert.equal((await cli('apply', '-f', 'fleet.yaml', '--yes')).code, 0);
  const { context, instances } = await cli.json<Shown>('agents', 'show', 'courier');
  assert.deepEqual([context.ip, instances], [['10.0.0.0/8'], { bind: ['country'] }]);
  assert.equal((await cli('apply', '-f', 'fleet.yaml', '--dry-run')).code, 0);

  fleet('{ country: [DE] }');
  const planned = await cli('apply', '-f', 'fleet.yaml', '--dry-run');
  assert.equal(planned.code, exitCodes.pending.code);
  assert.match(planned.out, /country/);
  assert.equal((await cli('apply', '-f', 'fleet.yaml', '--yes')).code, 0);
  assert.deepEqual((await cli.json<Shown>('agents', 'show', 'courier')).context, { country: ['DE'] });

  for (const [text, message] of [
    ['{ ip: [office] }', /context.*ip must be/s],
    ['{ hours: [always] }', /context.*hours must end with a time zone/s],
    ['{ where: [here] }', /where/],
  ] as const) {
    fleet(text);
    const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--dry-run');
    assert.equal(code, exitCodes.usage.code, err);
    assert.match(err, message);
  }
});
