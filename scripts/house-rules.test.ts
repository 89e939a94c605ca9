import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Files, leftToDo, lockfile, sleepingTests, versions, worldOutsideLib } from './house-rules.ts';

const manifest = (changes: object) =>
  JSON.stringify({ name: 'a', version: '1.0.0', license: 'Apache-2.0', ...changes });

describe('house rules notice', () => {
  const bad: [what: string, rule: (files: Files) => string[], path: string, text: string][] = [
    ['the clock', worldOutsideLib, 'packages/server/src/tokens/issue.ts', 'const now = Date.now();'],
    ['the clock handed on', worldOutsideLib, 'packages/agent/src/agent.ts', 'now: options.now ?? Date.now,'],
    ['a new date', worldOutsideLib, 'packages/server/src/tokens/issue.ts', 'const now = new Date();'],
    ['randomness', worldOutsideLib, 'packages/protocol/src/dpop.ts', 'const jti = randomUUID();'],
    ['the network', worldOutsideLib, 'packages/guard/src/guard.ts', 'const response = await fetch(url);'],
    ['the network by its full name', worldOutsideLib, 'packages/guard/src/guard.ts', 'use(globalThis.fetch)'],
    ['work left to do', leftToDo, 'README.md', `// ${'TO'}${'DO'}: later`],
    ['a test switched off', sleepingTests, 'a.test.ts', `${'test'}.skip('x', () => {});`],
    ['a lone test', sleepingTests, 'a.test.ts', `test('x', { only${':'} true }, () => {});`],
    ['another version', versions, 'packages/a/package.json', manifest({ version: '1.0.1' })],
    ['a range', versions, 'packages/a/package.json', manifest({ dependencies: { b: '^1.0.0' } })],
    [
      'an old sibling',
      versions,
      'packages/a/package.json',
      manifest({ dependencies: { '@bailiwick/agent': '0.9.0' } }),
    ],
    [
      'a registry',
      lockfile,
      'package-lock.json',
      '{"packages":{"node_modules/a":{"resolved":"https://r.example/a","integrity":"x"}}}',
    ],
    ['unknown bytes', lockfile, 'package-lock.json', '{"packages":{"node_modules/a":{"version":"1.0.0"}}}'],
  ];
  for (const [what, rule, path, text] of bad) {
    test(what, () =>
      assert.equal(
        rule(
          new Map([
            ['package.json', manifest({})],
            [path, text],
          ]),
        ).length,
        1,
      ),
    );
  }
});

describe('house rules leave alone', () => {
  const good: [what: string, rule: (files: Files) => string[], path: string, text: string][] = [
    ['lib', worldOutsideLib, 'packages/server/src/lib/clock.ts', 'now: Date.now,'],
    ['tests', worldOutsideLib, 'packages/server/src/a.test.ts', 'await fetch(url)'],
    [
      'a fetch of its own',
      worldOutsideLib,
      'packages/guard/src/keys.ts',
      'await deps.fetch(url); type F = typeof globalThis.fetch;',
    ],
    ['a comment', worldOutsideLib, 'packages/agent/src/agent.ts', ' * in place of fetch(url)'],
    ['a date from a number', worldOutsideLib, 'packages/server/src/admin/a.ts', 'new Date(at).toISOString()'],
  ];
  for (const [what, rule, path, text] of good) {
    test(what, () => assert.deepEqual(rule(new Map([[path, text]])), []));
  }
});
