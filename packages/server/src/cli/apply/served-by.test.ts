/** Who stands behind a resource, as a file says it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandLine } from '../../testing/command-line.ts';
import { startServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';

const fleet = `
teams: { ops: {} }
resources:
  desk: { identifier: https://desk.example.com, served_by: [front, back] }
agents:
  front: { owner: ops, kind: workload }
  back: { owner: ops, kind: workload }
`;

test('served_by names agents, be they new, and is the whole of it', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  const servedBy = async (name: string) =>
    (await cli.json<{ served_by: string[] }>('resources', 'show', name)).served_by.toSorted();
  const apply = async (text: string) => {
    cli.write('fleet.yaml', text);
    const { code, out, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
    assert.equal(code, 0, err);
    assert.match((await cli('apply', '-f', 'fleet.yaml', '--dry-run')).out, /^Nothing to change/);
    return out;
  };
  await apply(fleet);
  const agents = await Promise.all(['front', 'back'].map((name) => cli.json<{ id: string }>('agents', 'show', name)));
  const [front, back] = agents.map(({ id }) => id) as [string, string];
  assert.deepEqual(await servedBy('desk'), [front, back].toSorted());

  assert.match(await apply(fleet.replace(', served_by: [front, back]', '')), /^Nothing to change/);
  const less = await apply(fleet.replace('[front, back]', `[${back}]`));
  assert.match(less, /~ resource desk\n {4}served_by:\n {6}- front\n/);
  assert.deepEqual(await servedBy('desk'), [back]);

  cli.write('one.yaml', 'identifier: https://one.example.com\nserved_by: [front]\n');
  await cli.json('resources', 'create', '--name', 'one', '-f', 'one.yaml');
  assert.deepEqual(await servedBy('one'), [front]);
  await cli.json('resources', 'update', 'one', '-f', 'one.yaml', '--served-by', 'back', '--not-served-by', 'front');
  assert.deepEqual(await servedBy('one'), [back]);

  cli.write('fleet.yaml', fleet.replace('[front, back]', '[frnt]'));
  const wrong = await cli('apply', '-f', 'fleet.yaml', '--yes');
  assert.equal(wrong.code, exitCodes.usage.code);
  assert.match(
    wrong.err,
    /line 4: resources\.desk\.served_by\.0 names "frnt", and there is no agent .*Did you mean "front"/,
  );
});
