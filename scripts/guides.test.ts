// Documentation that can be run is run: every command of the guides, in their order, against a real server.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { commands } from '../packages/server/src/cli/commands.ts';
import { exitCodes } from '../packages/server/src/cli/errors.ts';
import { parse } from '../packages/server/src/cli/parse.ts';
import { loadConfig } from '../packages/server/src/config.ts';
import { readRequirement } from '../packages/server/src/policy/annotations.ts';
import { type CommandLine, commandLine } from '../packages/server/src/testing/command-line.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const pages = ['README.md', 'SECURITY.md', ...globSync('docs/**/*.md', { cwd: root })];

let server: TestServer;
let cli: CommandLine;

before(async () => {
  server = await startServer();
  const { data, issuer } = server.deps.config;
  const env = { BAILIWICK_DATA: data, BAILIWICK_ISSUER: issuer };
  cli = commandLine(server, { env, interactive: true, ask: () => Promise.resolve('yes') });
  mkdirSync(path.join(cli.folder, 'examples/quickstart'), { recursive: true });
  cli.write('examples/quickstart/fleet.yaml', read('examples/quickstart/fleet.yaml'));
  cli.write('mandates.yaml', /```yaml\n([\s\S]*?)```/.exec(read('docs/guides/mandates.md'))?.[1] ?? '');
});
after(async () => {
  cli.close();
  await server.close();
});

/** Command lines of the shell blocks of a page, as words; comments and what is not ours left out. */
function commandLines(page: string): string[][] {
  const blocks = [...read(page).matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block);
  return blocks
    .flatMap((block) => block.replaceAll(/\\\n\s*/g, '').split('\n'))
    .flatMap((line) => /^(?:[A-Z_]+=[^\s$]+ )*(?:npx )?bailiwick ([^|#>]*)/.exec(line)?.[1] ?? [])
    .map((line) => [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? ''));
}

/** What a reader would put in place of the id of their agent's old key, of a leaked signing key, of a mandate, and of their own home. */
async function filledIn(words: readonly string[]): Promise<string[]> {
  if (words.includes('KID')) {
    const { items } = await cli.json<{ items: { kid: string }[] }>('keys', 'list');
    return words.map((word) => (word === 'KID' ? (items[0]?.kid ?? assert.fail('no key')) : word));
  }
  if (words.includes('mdt_…')) {
    const { items } = await cli.json<{ items: { id: string }[] }>('mandates', 'list', '--all');
    return words.map((word) => (word === 'mdt_…' ? (items.at(-1)?.id ?? assert.fail('no mandate was given')) : word));
  }
  if (!words.some((word) => word.startsWith('crd_'))) return words.map((word) => word.replace('~/.config/', ''));
  const list = ['credentials', 'list', '--agent', 'first-line'];
  const { items } = await cli.json<{ items: { id: string; label: string }[] }>(...list);
  const old = items.find(({ label }) => label === '') ?? assert.fail('the agent of the guide has no old key');
  return words.map((word) => (word.startsWith('crd_') ? old.id : word));
}

test('the commands of the guides work, in the order in which they stand', async () => {
  for (const page of ['protect-an-api', 'agents-and-keys', 'operate', 'export-the-log', 'mandates']) {
    const lines = commandLines(`docs/guides/${page}.md`).filter(([verb]) => verb !== 'serve');
    assert.ok(lines.length > 0, page);
    for (const words of lines) {
      const { code, out, err } = await cli(...(await filledIn(words)));
      const expected = words.includes('--dry-run') ? exitCodes.pending.code : 0;
      // the doctor compares with the real clock, and the server of this test has one of its own
      if (words[0] === 'doctor') assert.match(out, /signing keys/);
      else assert.equal(code, expected, `${page}: bailiwick ${words.join(' ')}\n${err}`);
    }
  }
  const again = await cli('apply', '-f', 'examples/quickstart/fleet.yaml', '--dry-run');
  assert.equal(again.code, 0, again.out);
});

test('every command that is shown anywhere can be parsed', () => {
  const examples = commands.flatMap((command) => command.examples.map((example) => example.command));
  assert.ok(examples.length > 40);
  const shown = pages.flatMap((page) => commandLines(page).map((words) => ({ page, words })));
  for (const { page, words } of shown) {
    assert.doesNotThrow(() => parse(commands, words), `${page}: ${words.join(' ')}`);
  }
});

test('the commands of every guide can be copied as they stand: npx and the folder of the data are said', () => {
  const said = 'export BAILIWICK_DATA="$PWD/data"';
  for (const page of globSync('docs/guides/*.md', { cwd: root })) {
    const blocks = [...read(page).matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block);
    if (blocks.length === 0) continue;
    for (const block of blocks) {
      assert.doesNotMatch(
        block,
        /(?<!npx |[\w/])bailiwick (?=[a-z])/,
        `${page}: who has a clone has no bailiwick on the PATH`,
      );
      assert.doesNotMatch(
        block,
        /\bnode [\w.-]+\.ts/,
        `${page}: the machine's Node.js may be old, and finds no sources`,
      );
    }
    // that one has servers and data of its own
    if (!page.endsWith('two-trust-domains.md')) assert.equal(blocks[0]?.trim(), said, page);
  }
});

/** Pages that a reader may follow with one server, in any order; those in one list build on each other. */
const walks = [
  ['README.md'],
  ['docs/guides/protect-an-api.md', 'docs/guides/agents-and-keys.md'],
  ['docs/guides/an-agent-in-a-container.md'],
  ['docs/guides/a-service-behind-nginx.md'],
  ['docs/guides/any-service-without-code.md'],
  ['docs/guides/tasks.md'],
  ['docs/guides/mandates.md'],
  ['docs/guides/export-the-log.md'],
  ['docs/guides/revoke-and-prove-it.md'],
  ['docs/guides/security-signals.md'],
  ['docs/guides/answer-an-auditor.md'],
  ['docs/guides/policies.md'],
  ['docs/guides/where-tokens-work.md'],
  ['docs/guides/continuous-authorization.md'],
];

test('guides do not take names, files and ports from each other', () => {
  const taken = new Map<string, number>();
  walks.forEach((walk, at) => {
    const names = walk.flatMap(commandLines).flatMap((words) => {
      const files = words.flatMap((word, i) => (word === '--key-out' ? [`file ${words[i + 1]}`] : []));
      const [noun, verb, first] = words;
      if (verb !== 'create') return files;
      if (noun !== 'resources') return [...files, `${noun} ${first}`];
      return [...files, `identifier ${first}`, `resources ${words[words.indexOf('--name') + 1]}`];
    });
    assert.ok(names.length > 2, `${walk[0]}`);
    for (const name of names) {
      assert.ok((taken.get(name) ?? at) === at, `${walk[0]} and ${walks[taken.get(name) ?? 0]?.[0]} both make ${name}`);
      taken.set(name, at);
    }
  });
  const port = /listen\((\d+)/.exec(read('examples/nginx/api.ts'))?.[1];
  assert.ok(port !== undefined && !read('README.md').includes(`localhost:${port}`), 'the README has an API there');
});

test('no private key that a page or the help writes can be committed by accident', () => {
  const byPages = pages.flatMap((page) => {
    const folder = /^cd (examples\/\S+)$/m.exec(read(page))?.[1] ?? '.';
    return keysIn(read(page)).flatMap((file) => [file, path.join(folder, file)]);
  });
  const byHelp = commands.flatMap(({ examples }) => examples.flatMap((example) => keysIn(example.command)));
  const files = new Set([...byPages, ...byHelp].map((file) => path.normalize(file)));
  assert.ok(files.has('reporter.json') && files.has('examples/places/visitor.json') && files.size > 20);
  const { status, stdout } = spawnSync('git', ['check-ignore', '--no-index', ...files], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status === 128) return assert.ok(!existsSync(path.join(root, '.git')), 'git can tell what it ignores');
  const ignored = new Set(stdout.trim().split('\n'));
  assert.deepEqual(
    [...files].filter((file) => !ignored.has(file)),
    [],
  );
});

/** Files that are named after `--key-out`, below the current folder. */
const keysIn = (text: string) =>
  [...text.matchAll(/--key-out ([\w./-]+\.json)\b/g)].flatMap(([, file]) => (file === undefined ? [] : [file]));

test('what the page on step-up says of each requirement is what policies write and clients hear', () => {
  const rows = [...read('docs/guides/step-up.md').matchAll(/^\| (`[^|]+) \| `(\{"type"[^|]+)` \|/gm)];
  const types = rows.map(([, annotation = '', json = '']) => {
    const [written] = [...annotation.matchAll(/`([^`]+)`/g)].map(([, each = '']) => readRequirement(each));
    assert.deepEqual(written, JSON.parse(json), annotation);
    return written?.type;
  });
  assert.deepEqual(types, ['approval', 'fresh_proof', 'narrower', 'binding', 'task']);
});

test('the configuration files of the guides can be started with', () => {
  const files = [...read('docs/guides/operate.md').matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  assert.equal(files.length, 5);
  for (const text of files) assert.doesNotThrow(() => loadConfig({ cwd: '/', readFile: () => text }));
});

test('links between pages lead somewhere', () => {
  for (const page of pages) {
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const absolute = file === '' ? page : path.join(path.dirname(page), file);
      assert.ok(existsSync(path.join(root, absolute)), `${page} links to ${target}`);
      if (anchor === undefined) continue;
      const anchors = [...read(absolute).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => anchorOf(title));
      assert.ok(anchors.includes(anchor), `${page} links to ${target}: ${anchors.join(' ')}`);
    }
  }
});

const anchorOf = (title: string) =>
  title
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, '')
    .trim()
    .replaceAll(' ', '-');
