import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { loadConfig, settings } from '../config.ts';
import { commandLine } from '../testing/command-line.ts';
import { commands } from './commands.ts';
import { exitCodes } from './errors.ts';

const cli = commandLine();
after(() => cli.close());

test('every command has help with an example of itself', async () => {
  for (const { name, examples } of commands) {
    const { code, out } = await cli(...name.split(' '), '--help');
    assert.equal(code, 0, name);
    assert.match(out, new RegExp(`Usage: bailiwick ${name}`));
    for (const option of ['--json', '--identity FILE']) assert.ok(out.includes(option), name);
    assert.ok(examples.length > 0 && examples.every(({ command }) => command.includes(`bailiwick ${name}`)), name);
    for (const line of out.split('\n')) {
      if (!line.includes('bailiwick ')) assert.ok(line.length <= 100, `${name}: ${line}`);
    }
  }
});

test('help and the list of commands go to standard output, a group alone to standard error', async () => {
  for (const argv of [[], ['help'], ['--help'], ['-h']]) {
    const { code, out } = await cli(...argv);
    assert.equal(code, 0);
    for (const { name } of commands) assert.ok(out.includes(`  ${name} `), name);
  }
  const group = await cli('agents');
  assert.equal(group.code, exitCodes.usage.code);
  assert.match(group.err, /agents create/);
  assert.equal(group.out, '');
  assert.equal((await cli('help', 'agents', 'create')).out, (await cli('agents', 'create', '--help')).out);
  assert.match((await cli('--version')).out, /^\d+\.\d+\.\d+\n$/);
});

for (const [what, argv, ...parts] of [
  [
    'the end of an option',
    ['resources', 'update', 'x', '--when-lost', 'refuse'],
    'has no option --when-lost.',
    'Did you mean "--feed-when-lost"?',
  ],
  ['a command that there isn’t', ['agnets'], 'There is no command "agnets".', 'Did you mean "agents"?'],
  ['a verb that there isn’t', ['agents', 'craete', 'x'], '"agents" has no command "craete".', '"create"', 'list, show'],
  ['an option that there isn’t', ['agents', 'create', 'x', '--ownr', 'y'], 'no option --ownr', '"--owner"'],
  ['an option without its value', ['agents', 'create', 'x', '--owner'], '--owner needs a value: --owner OWNER'],
  ['an option in place of a value', ['agents', 'create', 'x', '--owner', '--json'], '--owner needs a value'],
  ['a switch with a value', ['agents', 'list', '--json=yes'], '--json takes no value'],
  ['an option twice', ['agents', 'create', 'x', '--owner', 'a', '--owner', 'b'], '--owner is given twice'],
  ['no argument', ['agents', 'show'], '"agents show" needs AGENT', 'bailiwick agents show --help'],
  ['one argument too many', ['agents', 'show', 'a', 'b'], `doesn't know what to do with "b"`],
  ['help on nothing', ['help', 'agnets'], 'There is no help on "agnets".', '"agents"'],
  ['options alone', ['--json'], 'No command was named'],
  ['no key file', ['agents', 'list'], 'There is no key file at', 'operator.json', 'bailiwick serve', '--identity FILE'],
  ['a named key file that is not there', ['agents', 'list', '--identity', 'no.json'], 'no.json', '--identity'],
  ['a configuration that is wrong', ['agents', 'list', '--config', 'no.yaml'], 'no.yaml', 'bailiwick init'],
  ['apply without a file', ['apply'], '-f FILE'],
] as [string, string[], ...string[]][]) {
  test(`refuses ${what}, and says what would be right`, async () => {
    const { code, out, err } = await cli(...argv);
    assert.equal(code, exitCodes.usage.code, err);
    for (const part of parts) assert.ok(`${out}${err}`.includes(part), `${err}\n(should say ${part})`);
    assert.doesNotMatch(err, /\n\s+at /, 'a stack trace');
  });
}

test('with --json an error is one line of JSON on standard error', async () => {
  const { code, out, err } = await cli('agents', 'show', '--json');
  assert.equal(code, exitCodes.usage.code);
  assert.equal(out, '');
  const { error } = JSON.parse(err) as { error: Record<string, unknown> };
  assert.equal(error.code, 'usage');
  assert.match(String(error.message), /needs AGENT/);
  assert.match(String(error.hint), /--help/);
});

test('a key file that is none is not repeated', async () => {
  for (const text of ['{"issuer": "http://localhost:1", "d": "secret-d"', '{"jwk": {"d": "secret-d"}}', '"secret-d"']) {
    cli.write('broken.json', text);
    const { code, err } = await cli('agents', 'list', '--identity', 'broken.json');
    assert.equal(code, exitCodes.usage.code);
    assert.match(err, /is not a key file/);
    assert.doesNotMatch(err, /secret-d/);
  }
});

test('colours are for terminals that want them, and help fits them', async () => {
  const coloured = commandLine(undefined, { columns: 80 });
  const plain = commandLine(undefined, { columns: 80, env: { NO_COLOR: '1' } });
  const esc = '\u001b[';
  assert.ok((await coloured('help')).out.includes(esc));
  assert.ok(!(await plain('help')).out.includes(esc));
  assert.ok(!(await cli('help')).out.includes(esc));
  for (const line of (await plain('help')).out.split('\n')) assert.ok(line.length <= 80, line);
  coloured.close();
  plain.close();
});

test('init writes every setting, and what it writes can be read, commented or not', async () => {
  const here = commandLine();
  const first = await here('init');
  assert.equal(first.code, 0, first.err);
  const file = path.join(here.folder, 'bailiwick.yaml');
  const text = readFileSync(file, 'utf8');
  for (const {
    path: [name = '', part],
  } of settings)
    assert.ok(text.includes(`${part ?? name}:`), name);
  assert.deepEqual(loadConfig({ cwd: here.folder }), loadConfig({ cwd: here.folder, readFile: () => '' }));
  // everything uncommented at once: the examples of TLS and proxy go together, but a key comes from one place
  const open = text.replaceAll(/^# ( *)(\w+:.*)$/gm, '$1$2').replaceAll(/^ +(file|command): .*$/gm, '');
  assert.doesNotThrow(() => loadConfig({ cwd: here.folder, readFile: () => open }));

  const second = await here('init');
  assert.equal(second.code, exitCodes.conflict.code);
  assert.match(second.err, /exists already/);
  assert.equal(readFileSync(file, 'utf8'), text);
  here.close();
});
