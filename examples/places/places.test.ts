/** The guide docs/guides/where-tokens-work.md: its commands, in their order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openGuide } from '../guide.ts';

test('from nothing to a token that works here alone, as the guide says', { timeout: 240_000 }, async (context) => {
  const { lines, run, begin } = await openGuide(context, {
    page: 'where-tokens-work.md',
    example: 'places',
    ports: [3060],
    part: 'From nothing to a token that works here alone',
  });
  const said: string[] = [];
  for (const line of lines) {
    if (line.includes('api.ts')) await begin(line, /guarded/);
    else if (line.includes('agent.ts')) said.push(await run(line));
    else await run(line);
  }
  assert.deepEqual(said[0], 'From here: 200.\nFrom 203.0.113.7: 401.\n');
  assert.match(said[1] ?? '', /^No token: .*this token may not be used from this address/);
  assert.deepEqual(said[2], 'From here: 200.\nFrom 203.0.113.7: 401.\n');
});
