import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';

const night = `@id("no-nights")
forbid (principal, action, resource)
when { context.time.hour < 6 };
`;

suite('policies of a fleet file', () => {
  let server: TestServer;
  let cli: CommandLine;
  before(async () => {
    server = await startServer();
    cli = commandLine(server);
    cli.write('night.cedar', night);
    cli.write('broken.cedar', night.replace('hour', 'hours'));
  });
  after(async () => {
    cli.close();
    await server.close();
  });

  const apply = (yaml: string, ...more: string[]) => {
    cli.write('fleet.yaml', yaml);
    return cli('apply', '-f', 'fleet.yaml', ...more);
  };
  const saved = async () => {
    const { items } = await cli.json<{ items: { name: string; mode: string; revision: number }[] }>('policy', 'list');
    return items.map(({ name, mode, revision }) => [name, mode, revision]);
  };

  test('are made, then nothing, then just what differs, line by line', async () => {
    const yaml =
      'policies:\n  night: night.cedar\n  days: { text: "@id(\\"d\\")\\nforbid (principal, action, resource) when { context.time.hour > 20 };", mode: observe }\n';
    const first = await apply(yaml, '--yes');
    assert.equal(first.code, 0, first.err);
    assert.match(first.out, /^\+ policy night\n {4}mode: enforce\n {4}text:\n {6}\+ @id\("no-nights"\)$/m);
    assert.deepEqual(await saved(), [
      ['starter', 'enforce', 1],
      ['night', 'enforce', 2],
      ['days', 'observe', 3],
    ]);
    assert.equal((await apply(yaml, '--dry-run')).code, 0);

    cli.write('night.cedar', night.replace('< 6', '< 7'));
    const changed = await apply('policies:\n  night: { file: night.cedar, mode: observe }\n', '--yes');
    assert.match(
      changed.out,
      /^~ policy night\n {4}mode: enforce → observe\n {4}text:\n {6}- when .*< 6 };\n {6}\+ when .*< 7 };$/m,
    );
    assert.deepEqual((await saved())[1], ['night', 'observe', 4]);
    await cli('policy', 'enforce', 'night', '--reason', 'by hand', '--yes');
    assert.equal(
      (await apply('policies:\n  night: night.cedar\n', '--dry-run')).code,
      0,
      'a mode that is not said stays',
    );
  });

  test('are pruned where the file names some, but for what came with the program', async () => {
    const nothing = await apply('teams: { night-shift: }\n', '--prune', '--dry-run');
    assert.doesNotMatch(nothing.out, /policy/);
    const pruned = await apply('policies:\n  night: night.cedar\n', '--prune', '--yes');
    assert.equal(pruned.code, 0, pruned.err);
    assert.match(pruned.out, /^- policy days$/m);
    assert.match(pruned.out, /1 policy\./);
    assert.deepEqual(
      (await saved()).map(([name]) => name),
      ['starter', 'night'],
    );
    const back = await apply(
      'policies:\n  days: { text: "@id(\\"d\\")\\nforbid (principal, action, resource);" }\n',
      '--yes',
    );
    assert.match(back.out, /^\+ policy days$/m);
    assert.equal(
      (await saved()).find(([name]) => name === 'days')?.[1],
      'enforce',
      'one that was removed decides again',
    );
  });

  const refused: [what: string, yaml: string, words: RegExp][] = [
    [
      'one that can not be read',
      'policies:\n  broken: broken.cedar\n',
      /fleet\.yaml line 2: policies\.broken can't be read: broken\.cedar:3:\d+: .*hours/,
    ],
    [
      'a file that is not there',
      'policies:\n  night: nights.cedar\n',
      /policies\.night names nights\.cedar, which can't be read \(ENOENT\)/,
    ],
    [
      'a mode that there is not',
      'policies:\n  night: { file: night.cedar, mode: removed }\n',
      /must be enforce or observe/,
    ],
    ['one that says nothing', 'policies:\n  night: { mode: observe }\n', /policies\.night/],
    ['a name that is none', 'policies:\n  No Nights: night.cedar\n', /policies\.No Nights/],
  ];
  for (const [what, yaml, words] of refused) {
    test(`refuses ${what}, and changes nothing`, async () => {
      const before = await saved();
      const { code, err } = await apply(yaml, '--yes');
      assert.equal(code, 2, err);
      assert.match(err, words);
      assert.deepEqual(await saved(), before);
    });
  }
});
