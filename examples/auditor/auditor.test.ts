/** The guide docs/guides/answer-an-auditor.md: all of its commands, in their order, and what they say. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { commandsIn, openGuide } from '../guide.ts';

test('an auditor is answered, as the guide says', { timeout: 480_000 }, async (context) => {
  const { run } = await openGuide(context, { page: 'answer-an-auditor.md', example: 'auditor' });
  const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/guides/answer-an-auditor.md'), 'utf8');
  const said = new Map<string, string>();
  for (const line of commandsIn(page)) said.set(line, await run(line));
  const answer = (words: string) =>
    [...said].find(([line]) => line.includes(words))?.[1] ?? assert.fail(`no command of the guide has ${words}`);

  assert.match(answer('events --agent cashier'), /✓ token\.issued +cashier → https:\/\/ledger\.example\.com/);
  assert.match(answer('--outcome refused'), /✗ token\.refused +cashier/);
  assert.doesNotMatch(answer('--outcome refused'), /token\.issued/);
  assert.match(answer('--text'), /token\.refused/);
  const issued = answer('--policy')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; jti?: string });
  assert.ok(issued.some(({ type, jti }) => type === 'token.issued' && jti !== undefined));
  const story = answer('trace cashier --identity');
  assert.match(story, /^The story of agent cashier\n/);
  const steps = [
    'cashier was registered by operator',
    'was given the role',
    'cashier got a token for',
    'cashier was refused a token',
  ];
  const places = steps.map((step) => story.indexOf(step));
  assert.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
    story,
  );
  assert.ok(
    places.every((place) => place > 0),
    story,
  );
  const { resourceSpans } = JSON.parse(answer('--otlp')) as { resourceSpans: { scopeSpans: { spans: object[] }[] }[] };
  assert.ok((resourceSpans[0]?.scopeSpans[0]?.spans.length ?? 0) >= 2);
});
