// Reading the log from the command line as somebody who may see little, and what guards could only say in a code.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { adminClient, administrator } from '../../testing/admin-client.ts';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { reasonOf } from '../event-lines.ts';
import type { Event } from '../registry.ts';

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

test('an owner reads what is theirs, by name, and makes no events by looking', async () => {
  const operator = adminClient(server, server.operator);
  const owner = await administrator(server, operator, { scopes: ['events:own'], name: 'helper' });
  const { name } = await operator.ok('GET', `/agents/${owner.agent}`);
  const identity = cli.write('helper.json', JSON.stringify(owner.identity));
  const as = (...argv: string[]) => cli(...argv, '--identity', identity);
  for (const argv of [
    ['events', '--limit', '3'],
    ['events', 'list', '--agent', owner.agent],
    ['events', 'list', '--by', owner.agent, '--resource', `${server.issuer}/admin`],
    ['trace', owner.agent],
  ]) {
    const { code, out, err } = await as(...argv);
    assert.equal(code, 0, err);
    assert.match(out, new RegExp(`\\b${name}\\b`), argv.join(' '));
  }
  const { items } = await operator.ok('GET', `/events?agent=${owner.agent}&outcome=refused`);
  assert.deepEqual(items, []);
});

test('what a guard refused without a reason shows its code, and what it sums up how often', () => {
  const event = (more: object) => ({ personal: {}, ...more }) as unknown as Event;
  for (const [given, said] of [
    [{ reason: 'no such operation', decided_on: { code: 'access_denied' } }, 'no such operation'],
    [{ decided_on: { code: 'temporarily_unavailable' } }, 'temporarily_unavailable'],
    [{ decided_on: { counts: { no_token: 12, invalid_token: 3 } } }, '12 no token, 3 invalid token'],
    [{ decided_on: { counts: { used: 5 }, causes: { disk_full: 5 } } }, '5 used (5 disk full)'],
    [{}, ''],
  ] as const) {
    assert.equal(reasonOf(event(given)), said);
  }
});
