/** `bailiwick resources update --served-by`: who goes on for whoever calls a resource. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';

let server: TestServer;
let cli: CommandLine;
before(async () => {
  server = await startServer({ database: 'sqlite' });
  cli = commandLine(server);
});
after(async () => {
  cli.close();
  await server.close();
});

test('agents are named, one more leaves the others, and each is taken away by name', async () => {
  await cli.json('teams', 'create', 'desk');
  const ids: string[] = [];
  for (const name of ['front', 'back']) {
    ids.push(
      (await cli.json<{ id: string }>('agents', 'create', name, '--kind', 'workload', '--owner', 'team:desk')).id,
    );
  }
  await cli.json('resources', 'create', 'https://desk.example/api', '--name', 'desk');
  const update = async (...options: string[]) =>
    (await cli.json<{ served_by: string[] }>('resources', 'update', 'desk', ...options)).served_by;
  assert.deepEqual(await update('--served-by', 'front'), [ids[0]]);
  assert.deepEqual((await update('--served-by', 'back')).toSorted(), ids.toSorted());
  assert.deepEqual(await update('--not-served-by', 'front'), [ids[1]]);
  assert.deepEqual(await update('--not-served-by', 'back'), []);
});
