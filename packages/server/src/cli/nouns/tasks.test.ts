import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { orchestratorClient } from '../../testing/orchestrator.ts';
import { tokenClient } from '../../testing/token-client.ts';
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

const listed = async (...more: string[]) =>
  (await cli.json<{ items: { id: string; status: string }[] }>('tasks', 'list', ...more)).items;

test('tasks are listed, shown and ended', async () => {
  const [orchestrator, agent] = await Promise.all([orchestratorClient(server), tokenClient(server)]);
  const resources = [{ resource: agent.identifier, scope: 'tickets:read', operations: ['read'] }];
  const first = await orchestrator.open(agent.clientId, {
    workflow: 'triage',
    step: 'sort',
    purpose: 'sort',
    resources,
  });
  const second = await orchestrator.open(agent.clientId, { environment: 'staging' });
  const signed = await agent.send({ task: orchestrator.sign({ sub: agent.clientId }) });
  assert.equal(signed.status, 200);
  assert.equal((await listed('--agent', agent.clientId)).length, 3);
  assert.deepEqual(
    (await listed('--workflow', 'triage')).map(({ id }) => id),
    [first.id],
  );
  assert.equal((await listed('--orchestrator', orchestrator.clientId)).length, 3);
  assert.equal((await listed('--orchestrator', agent.clientId)).length, 0);

  const table = await cli('tasks', 'list');
  for (const part of ['triage/sort', 'staging', second.id]) assert.ok(table.out.includes(part), table.out);
  const shown = await cli('tasks', 'show', first.id);
  for (const part of ['sort', 'tickets:read', '"actions":["read"]', 'opened by']) assert.ok(shown.out.includes(part));

  const asked = await cli('tasks', 'end', first.id);
  assert.equal(asked.code, exitCodes.usage.code, 'what can not be undone is asked for');
  assert.equal((await cli('tasks', 'end', first.id, '--yes')).code, 0);
  assert.equal((await listed()).length, 2);
  assert.equal((await listed('--all')).filter(({ status }) => status === 'ended').length, 1);
  assert.match((await cli('tasks', 'end', first.id)).out, /had ended already/);
  assert.equal((await agent.send({ task: first.id })).body.error, 'invalid_grant');
  assert.equal((await cli('tasks', 'show', 'desk')).code, exitCodes.usage.code);
});
