import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { beside, compositionRank, packages, rooms, testRooms, webRank } from './ranks.ts';

const packagesFolder = path.resolve(import.meta.dirname, '../..');

interface Import {
  specifier: string;
  typeOnly: boolean;
}

/** Every `import` and `export … from`, of types too, and every `import()`; a computed one comes as `?`. */
function importsOf(source: string): Import[] {
  const code = withoutComments(source);
  const found: Import[] = [];
  for (const match of code.matchAll(/(?<=^|[;{}\n])\s*(?:import|export)\b([^'"`;()]*?)\bfrom\s*(['"])(.*?)\2/g)) {
    found.push({ specifier: match[3]!, typeOnly: /^\s*type\b(?!\s*,)/.test(match[1]!) });
  }
  for (const match of code.matchAll(/(?<=^|[;{}\n])\s*import\s*(['"])(.*?)\1/g)) {
    found.push({ specifier: match[2]!, typeOnly: false });
  }
  for (const match of code.matchAll(/(?<![.\w])import\s*\(\s*(?:(['"])(.*?)\1)?/g)) {
    found.push({ specifier: match[2] ?? '?', typeOnly: false });
  }
  return found;
}

/** Strings stay as they are: a `//` in a URL is none, and a path in a comment is no import. */
function withoutComments(source: string): string {
  return source.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, string: string | undefined) => string ?? ' ',
  );
}

const isTest = (file: string) => file.endsWith('.test.ts') || testRooms.includes(roomOf(file));
const roomOf = (file: string) => file.split('/')[0]!;
const knowsSql = (file: string) => roomOf(file) === 'store' || /(^|[/-])store\.ts$/.test(file);

const databaseModules = /^(kysely|pg|node:sqlite)(\/|$)/;
const sqlText =
  /[`'"]\s*(select\s[^`]*\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|create\s+table\s)/i;

/** What is wrong with a file of the server, in sentences. `file` is its path from `packages/server/src`. */
function faultsOf(file: string, source: string): string[] {
  const room = roomOf(file);
  const rank = rooms[room];
  if (isTest(file)) return [];
  if (rank === undefined && !beside.includes(room))
    return [`${file}: "${room}" is in no rank: give it one in ranks.ts`];

  const faults: string[] = [];
  for (const { specifier, typeOnly } of importsOf(source)) {
    const says = (why: string) => faults.push(`${file} imports ${specifier}: ${why}`);
    if (specifier === '?') says('a computed import can not be held against the ranks');
    else if (specifier.startsWith('.')) {
      const why = whyNot(file, path.posix.join(path.posix.dirname(file), specifier), typeOnly);
      if (why) says(why);
    } else if (/^(fastify|@fastify\/.*)$/.test(specifier) && (rank ?? 0) < webRank) {
      says(`only ranks ${webRank} to ${compositionRank} know the web framework`);
    } else if (databaseModules.test(specifier) && !knowsSql(file)) {
      says('only store/ and files named store.ts know databases');
    }
  }
  if (sqlText.test(withoutComments(source)) && !knowsSql(file)) {
    faults.push(`${file} contains SQL: that belongs into store/ or a file named store.ts`);
  }
  return faults;
}

function whyNot(file: string, target: string, typeOnly: boolean): string | undefined {
  if (target.startsWith('..')) return 'that leaves the package: import other packages by name';
  const [from, to] = [roomOf(file), roomOf(target)];
  if (testRooms.includes(to) || target.endsWith('.test.ts')) return 'only tests import what is there for tests';
  if (from === to || beside.includes(to)) return undefined;
  if (beside.includes(from)) {
    return typeOnly || rooms[to] === 1 ? undefined : 'what stands beside the ranks imports only types of them';
  }
  const [mine, its] = [rooms[from]!, rooms[to]];
  if (its === undefined) return `"${to}" is in no rank: give it one in ranks.ts`;
  if (mine === its && mine === compositionRank) return undefined;
  if (mine === its) return `${from} and ${to} are both of rank ${mine}, and rooms of one rank don't know each other`;
  return its > mine ? `that goes up, from rank ${mine} to rank ${its}` : undefined;
}

/** What is wrong with the imports between packages. `file` is its path from `packages`. */
function packageFaultsOf(file: string, source: string): string[] {
  const own = roomOf(file);
  const allowed = packages[own];
  if (!allowed) return [`${file}: "${own}" is in no package rule: give it one in ranks.ts`];
  return importsOf(source).flatMap(({ specifier }) => {
    const other = /^@bailiwick\/([^/]+)/.exec(specifier)?.[1];
    if (other && other !== own && !allowed.includes(other)) return [`${file}: ${own} must not import ${specifier}`];
    const target = specifier.startsWith('.') && path.posix.join(path.posix.dirname(file), specifier);
    return target && roomOf(target) !== own ? [`${file}: ${specifier} leaves the package: import by name`] : [];
  });
}

const read = (folder: string, file: string) => readFileSync(path.join(folder, file), 'utf8');
const sourcesIn = (folder: string, pattern: string) =>
  globSync(pattern, { cwd: folder }).map((file) => file.replaceAll(path.sep, '/'));

describe('imports', () => {
  test('go down the ranks', () => {
    const files = sourcesIn(import.meta.dirname, '**/*.ts');
    assert.ok(files.length > 0);
    assert.deepEqual(
      files.flatMap((file) => faultsOf(file, read(import.meta.dirname, file))),
      [],
    );
  });

  test('between packages go from the server and the guard to the agent to the protocol', () => {
    const isOurs = (file: string) => !file.endsWith('.test.ts') && !/\/testing[/.]/.test(file);
    const files = sourcesIn(packagesFolder, '*/src/**/*.ts').filter(isOurs);
    assert.deepEqual(
      files.flatMap((file) => packageFaultsOf(file, read(packagesFolder, file))),
      [],
    );
  });
});

describe('the rule notices', () => {
  const bad: [what: string, file: string, source: string, fault: RegExp][] = [
    [
      'an import upwards',
      'tokens/issue.ts',
      `import { reply } from '../oauth/reply.ts';`,
      /goes up, from rank 7 to rank 10/,
    ],
    ['one of types only', 'audit/audit.ts', `import type { Plan } from '../decide/plan.ts';`, /goes up/],
    ['one over several lines', 'store/open.ts', `import {\n  a,\n  b,\n} from '../keys/keys.ts';`, /goes up/],
    ['a re-export', 'store/open.ts', `export * from '../keys/keys.ts';`, /goes up/],
    ['a dynamic import', 'store/open.ts', `const { a } = await import('../keys/keys.ts');`, /goes up/],
    ['an imported type', 'store/open.ts', `let a: import('../keys/keys.ts').Keys;`, /goes up/],
    ['a computed import', 'store/open.ts', 'await import(name);', /computed/],
    ['an import for its effects', 'store/open.ts', `import '../keys/keys.ts';`, /goes up/],
    ['a neighbour', 'tasks/task.ts', `import { a } from '../people/people.ts';`, /both of rank 5/],
    ['an unknown room', 'cupboard/a.ts', '', /"cupboard" is in no rank/],
    ['an import of one', 'oauth/a.ts', `import { a } from '../cupboard/a.ts';`, /"cupboard" is in no rank/],
    ['a test tool', 'oauth/a.ts', `import { startServer } from '../testing/harness.ts';`, /only tests/],
    ['another package by path', 'oauth/a.ts', `import { a } from '../../../guard/src/index.ts';`, /leaves the package/],
    ['the web framework', 'tokens/a.ts', `import type { FastifyRequest } from 'fastify';`, /web framework/],
    ['a database', 'tokens/a.ts', `import pg from 'pg';`, /know databases/],
    ['SQL', 'tokens/a.ts', 'await tx.run(`insert into tokens (id) values (?)`, [id]);', /contains SQL/],
    ['a value for deps', 'deps.ts', `import { issue } from './tokens/issue.ts';`, /only types/],
  ];
  for (const [what, file, source, fault] of bad) {
    test(what, () => assert.match(faultsOf(file, source).join('\n'), fault));
  }

  const good: [what: string, file: string, source: string][] = [
    ['an import downwards', 'tokens/issue.ts', `import { endedSince } from '../liveness/liveness.ts';`],
    ['an import in a comment', 'store/open.ts', `// import '../keys/keys.ts';\n/* import '../keys/keys.ts'; */`],
    ['an import within the room', 'tokens/issue.ts', `import { spend } from './spend.ts';`],
    ['SQL in a store', 'resources/role-store.ts', 'q.all(`select id from roles`)'],
    ['a test', 'lib/a.test.ts', `import { startServer } from '../testing/harness.ts';`],
  ];
  for (const [what, file, source] of good) {
    test(`nothing wrong with ${what}`, () => assert.deepEqual(faultsOf(file, source), []));
  }

  test('a guard that imports the server', () => {
    const source = `import { start } from '@bailiwick/server';`;
    assert.deepEqual(packageFaultsOf('guard/src/a.ts', source), [
      'guard/src/a.ts: guard must not import @bailiwick/server',
    ]);
  });
});
