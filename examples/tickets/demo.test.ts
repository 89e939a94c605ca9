import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { narrator } from './narrator.ts';

test('npm run demo: every step goes as told, in plain words, within seconds', { timeout: 60_000 }, async () => {
  const { code, said } = await run(path.join(import.meta.dirname, 'demo.ts'));
  assert.equal(code, 0, said);
  const steps = said.match(/^\d\. .*$/gm);
  assert.deepEqual(steps, [
    '1. A call that works',
    '2. A scope refused',
    '3. An operation refused',
    '4. A stolen token refused',
    '5. An instance that comes, works, and vanishes',
    '6. A revocation that is felt',
  ]);
  for (const part of said.split(/^\d\. /m).slice(1)) {
    for (const label of ['answer', 'guard', 'record']) assert.match(part, new RegExp(`✓ ${label} `), part);
  }
  assert.doesNotMatch(said, /\u001b/, 'no colours but on a terminal');
  assert.doesNotMatch(said, /eyJ|bwe_/, 'no token is printed');
});

test('a step that does not go as told is seen, and counted', () => {
  const lines: string[] = [];
  const tell = narrator({ write: (line) => lines.push(line) });
  tell.step('Something', 'and its story');
  tell.happened('200', true);
  tell.happened('500', false);
  tell.decided(undefined, { outcome: 'refused' });
  tell.recorded({ id: 'evt_1', type: 'token.issued', outcome: 'allowed' }, { type: 'token.refused' });
  tell.recorded(undefined, {});
  assert.equal(tell.end(), 4);
  assert.match(lines.join(''), /✓ answer {3}200\n.*✗ answer {3}500 {3}← not as it should be/);
});

function run(file: string): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    const args = [...process.execArgv.filter((flag) => flag.startsWith('--conditions')), file];
    const child = execFile(process.execPath, args, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, said: out + err }),
    );
  });
}
