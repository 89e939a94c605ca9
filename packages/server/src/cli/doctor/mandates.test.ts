/** What the doctor says of mandates, and of who serves what. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { type Delegate, type Delegates, delegates } from '../../testing/delegates.ts';
import { exchanged } from '../../testing/exchange.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import type { Finding } from './finding.ts';

let server: TestServer;
let cli: CommandLine;
let scene: Delegates;
before(async () => {
  server = await startServer();
  cli = commandLine(server);
  scene = await delegates(server, 3);
});
after(async () => {
  cli.close();
  await server.close();
});

/** What it says of mandates and of who serves what, as `status: message`. */
async function said(): Promise<string[]> {
  const { findings } = JSON.parse((await cli('doctor', '--json')).out) as { findings: Finding[] };
  return findings
    .filter(({ check }) => check === 'mandates' || check === 'served by')
    .map(({ status, message, todo }) => {
      assert.equal(todo === undefined, status !== 'warn');
      return `${status}: ${message}`;
    });
}

const nameOf = async ({ id }: Delegate) => (await server.admin<{ name: string }>('GET', `/agents/${id}`)).name;
const end = (id: string) => server.admin('POST', `/mandates/${id}/end`, {});
const days = (count: number) => count * 86_400;

test('mandates that are used and last are fine; none is nothing to speak of', async () => {
  assert.deepEqual(await said(), []);
  const [first] = scene.agents as [Delegate];
  const { id } = await scene.give(first);
  assert.deepEqual(await said(), ['ok: each can be used, and lasts (1)']);
  await end(id);
});

test('near its end: what was meant to last, unless another of the same takes its place', async () => {
  const [first, second] = scene.agents as [Delegate, Delegate];
  const { id } = await scene.give(first, { expires_in: days(20) });
  const short = await scene.give(second, { expires_in: days(3) });
  assert.deepEqual(await said(), ['ok: each can be used, and lasts (2)']);
  server.clock.advance(days(14) * 1000);
  const warning = `warn: Within 7 days they end, and nothing takes their place: ${id} of ${await nameOf(first)}.`;
  assert.deepEqual(await said(), [warning]);
  const next = await scene.give(first, { expires_in: days(20) });
  assert.deepEqual(await said(), ['ok: each can be used, and lasts (2)']);
  for (const each of [id, next.id]) await end(each);
  assert.ok(short);
});

test('nearly spent, given by no role, come from what is over, or of an agent that is retired', async () => {
  const [first, second, third] = scene.agents as [Delegate, Delegate, Delegate];
  const limited = await scene.give(first, { limits: { uses: 10 }, name: 'ten-times' });
  for (let i = 0; i < 8; i++) await exchanged(first.client, limited.id, { scope: 'read' });
  assert.deepEqual(await said(), ['ok: each can be used, and lasts (1)']);
  await exchanged(first.client, limited.id, { scope: 'read' });
  const spent = `warn: A tenth or less is left of what they limit: ten-times of ${await nameOf(first)}.`;
  assert.deepEqual(await said(), [spent]);
  await end(limited.id);

  const root = await scene.give(first);
  const part = await first.pass(root.id, { agent: second.id });
  await server.admin('POST', `/mandates/${root.id}/pause`, {});
  assert.deepEqual(await said(), [], 'what is paused comes back');
  await end(root.id);
  const orphan = `warn: They can never be used again: ${part.id} of ${await nameOf(second)} (it came from ${root.id}, which is over).`;
  assert.deepEqual(await said(), [orphan]);
  await end(part.id);

  const powerless = await scene.give(second);
  const { roles } = await server.admin<{ roles: { id: string }[] }>('GET', `/agents/${second.id}`);
  for (const role of roles) await server.admin('DELETE', `/agents/${second.id}/roles/${role.id}`);
  const nothing = `warn: No role of the agent gives anything that they allow: ${powerless.id} of ${await nameOf(second)}.`;
  assert.deepEqual(await said(), [nothing]);
  await end(powerless.id);

  const last = await scene.give(third);
  const { resources } = await server.admin<{ resources: { resource: string }[] }>('GET', `/agents/${third.id}`);
  const resource = resources[0]?.resource as string;
  const { name } = await server.admin<{ name: string }>('PATCH', `/resources/${resource}`, { served_by: [third.id] });
  await server.admin('POST', `/agents/${third.id}/suspend`, {});
  assert.deepEqual(await said(), [], 'who is suspended comes back');
  await server.admin('POST', `/agents/${third.id}/retire`, {});
  const gone = await nameOf(third);
  assert.deepEqual(await said(), [
    `warn: Agents that are retired are to answer there: ${name}.`,
    `warn: They can never be used again: ${last.id} of ${gone} (agent ${gone} is retired).`,
  ]);
});
