/** `bailiwick revoke` and guards: one that follows, one that hangs, one that goes on without saying that it knows, one that asks. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { type FakeClock, systemClock } from '../../lib/clock.ts';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { feedGuard, openFeedSession } from '../../testing/feed-client.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { tokenClient } from '../../testing/token-client.ts';
import { exitCodes } from '../errors.ts';

/** Leases run out by themselves. */
const realTime: FakeClock = { ...systemClock, advance: () => assert.fail('this is the real time') };

let server: TestServer;
let cli: CommandLine;
const ends: (() => Promise<unknown>)[] = [];

before(async () => {
  server = await startServer({ clock: realTime });
  cli = commandLine(server);
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});
after(async () => {
  cli.close();
  await server.close();
});

/** An agent with a living token, and a guard with a session: `say` is which number it says that it has applied, again and again, or nothing at all. */
async function world(say: 'what it has' | 'what it had' | 'nothing', leaseSeconds = 2) {
  const client = await tokenClient(server);
  await server.admin('PATCH', `/resources/${client.resource}`, { feed: { lease_seconds: leaseSeconds } });
  await client.send();
  const guard = await feedGuard(server, client.resource);
  const session = await openFeedSession(server, guard);
  const { at } = session;
  let isOver = say === 'nothing';
  const renewing = (async () => {
    while (!isOver) await session.lease({ wait_ms: 50, ...(say === 'what it had' && { applied: at }) });
  })();
  ends.push(async () => {
    isOver = true;
    await renewing;
    await session.giveBack();
  });
  return { revoke: (...more: string[]) => cli('revoke', 'agent', client.clientId, '--yes', ...more) };
}

test('one that follows says that it applied it, and then it is true', async () => {
  const { revoke } = await world('what it has');
  const { code, out } = await revoke();
  assert.equal(code, exitCodes.ok.code, out);
  assert.match(out, /guard-\w+ +applied +\d+ ms/);
  assert.match(out, /True at every guard after \d/);
  assert.doesNotMatch(out, /NOT/);
});

test('one that hangs is waited for until its lease has run out, and then it is true', async () => {
  const { revoke } = await world('nothing');
  const { code, out } = await revoke();
  assert.equal(code, exitCodes.ok.code, out);
  assert.match(out, /guard-\w+ +lease ran out +\d/);
  assert.match(out, /True at every guard/);
});

test('one that goes on and does not say that it knows: it is not true, and the exit code says so', async () => {
  const { revoke } = await world('what it had', 10);
  const { code, out, err } = await revoke('--wait', '1');
  assert.equal(code, exitCodes.incomplete.code, out);
  assert.equal(code, 8);
  assert.match(out, /guard-\w+ +no answer yet/);
  const [, number] = /But not every guard has answered: see `bailiwick revocations show (\d+)`/.exec(out) ?? [];
  assert.doesNotMatch(out, /True at every guard/);
  assert.doesNotMatch(err, /has not answered/, 'nobody is told to wait when the waiting is over');
  assert.match((await cli('revocations', 'show', number ?? '')).out, /everywhere +not yet[\s\S]*no answer yet/);
});

test('who is waited for longer is told of it from time to time', async () => {
  const { revoke } = await world('what it had', 10);
  const { code, err } = await revoke('--wait', '4');
  assert.equal(code, exitCodes.incomplete.code);
  assert.match(err, /^Revoked\. 1 of 1 resources have a guard that has not answered yet …$/m);
});
