import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type CommandLine, commandLine } from '../../../testing/command-line.ts';
import { startServer, type TestServer } from '../../../testing/harness.ts';
import { lineDiff, showDiff } from './line-diff.ts';

const night = `// At night nobody looks on.
@id("no-nights")
@reason("Nobody looks on at night.")
@public
forbid (principal, action, resource)
when { context.time.hour < 6 };
`;

suite('policy commands', () => {
  let server: TestServer;
  let cli: CommandLine;
  before(async () => {
    server = await startServer();
    cli = commandLine(server);
    mkdirSync(path.join(cli.folder, 'broken'));
    mkdirSync(path.join(cli.folder, 'empty'));
    cli.write('night.cedar', night);
    cli.write('broken/bad.cedar', night.replace('< 6', '< "6"'));
    cli.write('broken/night.cedar', night.replace('@public', '@publik'));
  });
  after(async () => {
    cli.close();
    await server.close();
  });

  test('check reads files without a server and tells mistakes as editors read them', async () => {
    const alone = commandLine();
    try {
      alone.write('night.cedar', night);
      const good = await alone('policy', 'check', 'night.cedar');
      assert.deepEqual([good.code, good.err], [0, '']);
      assert.match(good.out, /^night: one statement$/m);
    } finally {
      alone.close();
    }
    const { code, err } = await cli('policy', 'check', 'broken');
    assert.equal(code, 2);
    assert.match(err, /^2 of 2 policies can't be read:$/m);
    assert.match(err, /- broken\/bad\.cedar:6:\d+: /);
    assert.match(err, /- broken\/night\.cedar:4:1: .*@publik/);
    const json = await cli('policy', 'check', 'broken', '--json');
    assert.equal(json.code, 2);
    const told = JSON.parse(json.out);
    assert.deepEqual([told.valid, told.mistakes.map(({ line }: { line: number }) => line)], [false, [6, 4]]);
  });

  const refused: [what: string, argv: string[], words: RegExp][] = [
    ['a file that is not there', ['check', 'nights.cedar'], /There is no file or folder nights\.cedar/],
    ['a folder without policies', ['check', 'empty'], /There is no policy in empty/],
    ['a file that is called otherwise', ['check', 'operator.json'], /can't be a policy by its name/],
    ['the same policy twice', ['check', 'night.cedar', 'broken/night.cedar'], /are both the policy "night"/],
    ['a file twice', ['check', 'night.cedar', 'night.cedar'], /named twice/],
    ['no file', ['check'], /needs FILE/],
    ['to save without a reason', ['save', 'night.cedar', '--yes'], /--reason/],
    ['to save what is wrong', ['save', 'broken/bad.cedar', '--reason', 'x', '--yes'], /broken\/bad\.cedar:6:/],
    ['both modes', ['save', 'night.cedar', '--reason', 'x', '--observe', '--enforce'], /contradict/],
    ['to save without a yes', ['save', 'night.cedar', '--reason', 'x'], /Nobody is at the terminal/],
    ['a span that is none', ['simulate', '--since', 'lately', 'night.cedar'], /--since "lately" isn't understood/],
    ['to simulate nothing', ['simulate'], /Name drafts/],
  ];
  for (const [what, argv, words] of refused) {
    test(`refuses ${what}`, async () => {
      const { code, err } = await cli('policy', ...argv);
      assert.equal(code, 2, err);
      assert.match(err, words);
    });
  }

  test('from a file to what decides, and back', async () => {
    const first = await cli('policy', 'save', 'night.cedar', '--reason', 'incident 42', '--observe', '--yes');
    assert.equal(first.code, 0, first.err);
    assert.match(first.out, /^\+ policy night \(observe\)$/m);
    assert.match(first.out, /^ {2}\+ @id\("no-nights"\)$/m);
    assert.match(first.out, /Saved night, as revision 2\. Nothing is refused by it/);
    assert.match((await cli('policy', 'save', 'night.cedar', '--reason', 'x')).out, /Nothing to change/);
    assert.equal((await cli('policy', 'diff', 'night.cedar')).code, 0);

    cli.write('night.cedar', night.replace('< 6', '< 7'));
    const differs = await cli('policy', 'diff', 'night.cedar');
    assert.equal(differs.code, 7);
    assert.match(differs.out, /^~ policy night \(observe\)$/m);
    assert.match(
      differs.out,
      /^ {2}- when \{ context\.time\.hour < 6 \};\n {2}\+ when \{ context\.time\.hour < 7 \};$/m,
    );
    assert.doesNotMatch(differs.out, /At night nobody/, 'what is far from a change is left out');
    await cli('policy', 'save', 'night.cedar', '--reason', 'later', '--yes');
    assert.match(
      (await cli('policy', 'enforce', 'night', '--reason', 'fine', '--yes')).out,
      /in mode enforce.*revision 4/,
    );
    assert.match((await cli('policy', 'enforce', 'night', '--reason', 'fine')).out, /already/);

    const list = await cli('policy', 'list');
    assert.match(list.out, /^night +enforce +4 .* operator +fine/m);
    assert.match(list.out, /^starter +enforce +1 .* bailiwick +what every/m);
    const text = await cli('policy', 'show', 'night');
    assert.equal(text.out, night.replace('< 6', '< 7'), 'in a pipe it is the text alone');
    assert.equal((await cli('policy', 'show', 'night', '--revision', '2')).out, night);
    const versions = await cli.json<{ items: { revision: number; mode: string }[] }>('policy', 'versions', 'night');
    assert.deepEqual(
      versions.items.map(({ revision, mode }) => [revision, mode]),
      [
        [4, 'enforce'],
        [3, 'observe'],
        [2, 'observe'],
      ],
    );
    const since = await cli('policy', 'diff', 'night', '--from', '2');
    assert.equal(since.code, 7);
    assert.match(since.out, /mode: observe → enforce/);
    assert.equal((await cli('policy', 'diff', 'night', '--from', '3', '--to', '3')).code, 0);

    const back = await cli('policy', 'rollback', 'night', '2', '--reason', 'too long', '--yes');
    assert.match(back.out, /^ {2}\+ when \{ context\.time\.hour < 6 \};$/m);
    assert.match(back.out, /says what it said \(revision 5, observe\)/);
    const gone = await cli('policy', 'remove', 'night', '--reason', 'over', '--yes');
    assert.match(gone.out, /decides no more \(revision 6\).*policy rollback night 5/);
    assert.doesNotMatch((await cli('policy', 'list')).out, /^night/m);
    assert.match((await cli('policy', 'list', '--removed')).out, /^night +removed/m);
    const again = await cli('policy', 'save', 'night.cedar', '--reason', 'again', '--yes');
    assert.match(again.out, /\+ policy night \(enforce, was removed\)/);
  });

  test('what is not there is named, with the nearest name', async () => {
    const { code, err } = await cli('policy', 'show', 'startr');
    assert.equal(code, 5);
    assert.match(err, /There is no policy "startr"\. Did you mean "starter"\?/);
    assert.match((await cli('policy', 'show', 'starter', '--revision', '99')).err, /was not changed with revision 99/);
  });

  test('the last policy that permits is not removed unseen', async () => {
    const other = commandLine(server);
    try {
      await server.admin('POST', '/organizations', { name: 'bare' });
      const { err } = await other('policy', 'remove', 'starter', '--reason', 'x', '--organization', 'bare');
      assert.match(err, /No other one decides/);
    } finally {
      other.close();
    }
  });

  test('the schema is there for editors', async () => {
    assert.match((await cli('policy', 'schema')).out, /^entity Agent in \[Role\]/m);
  });
});

suite('a difference of texts', () => {
  const cases: [before: string, after: string, lines: string[]][] = [
    ['', 'a\nb\n', ['+a', '+b']],
    ['a\nb\n', '', ['-a', '-b']],
    ['a\nb\nc\n', 'a\nx\nc\n', [' a', '-b', '+x', ' c']],
    ['a\r\nb\r\n', 'a\nb\n', [' a', ' b']],
    ['a\nb\na\nb\n', 'b\na\nb\na\n', ['-a', ' b', ' a', ' b', '+a']],
    ['same', 'same', [' same']],
  ];
  for (const [before, after, lines] of cases) {
    test(`${JSON.stringify(before)} to ${JSON.stringify(after)}`, () => {
      assert.deepEqual(
        lineDiff(before, after).map(({ sign, text }) => sign + text),
        lines,
      );
    });
  }
  test('what nobody could see in a line is shown as such', () => {
    const shown = showDiff(lineDiff('', 'a\u202eb\u001b[2J'), (_, text) => text);
    assert.equal(shown, '  + a�b�[2J');
  });
});
