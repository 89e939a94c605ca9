/** The guide docs/guides/continuous-authorization.md: its commands, and what it says that they print. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openGuide } from '../guide.ts';

test('an agent and a record are asked about, as the guide says', { timeout: 120_000 }, async (context) => {
  const page = 'continuous-authorization.md';
  const guide = await openGuide(context, { page, example: 'decisions', part: 'Ask for a decision' });
  let said = '';
  for (const line of guide.lines) said = await guide.run(line);
  const text = readFileSync(path.join(import.meta.dirname, '../../docs/guides', page), 'utf8');
  const [, printed = ''] = /```\n(true\n[\s\S]*?)```/.exec(text) ?? [];
  const lines = (all: string) =>
    all
      .trim()
      .split('\n')
      .map((line) => line.trim());
  assert.deepEqual(lines(said), lines(printed));
  assert.equal(lines(said).length, 3);
});
