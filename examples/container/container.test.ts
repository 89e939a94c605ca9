/** The guide docs/guides/an-agent-in-a-container.md: its commands, with a clean process in place of a container. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openGuide } from '../guide.ts';

test('from nothing to a bound token, as the guide says', { timeout: 120_000 }, async (context) => {
  const { lines, run } = await openGuide(context, { page: 'an-agent-in-a-container.md', example: 'container' });
  const agent = readFileSync(path.join(import.meta.dirname, 'agent.ts'), 'utf8').split('\n');
  assert.ok(lines.length + agent.filter((line) => line.trim() !== '').length < 10, 'under ten lines');

  let said = '';
  for (const line of lines) said = await run(line);
  assert.match(said, /^spiffe:\/\/localhost\/default\/first-line\/ins_\w+ has a DPoP token for tickets:read\.\n$/);

  const list = await run('bailiwick instances list --json');
  assert.deepEqual((JSON.parse(list) as { items: unknown[] }).items, [], 'it has ended itself');
  const events = await run('bailiwick events list --json');
  for (const type of ['instance.enrolled', 'token.issued', 'instance.ended']) assert.ok(events.includes(type), type);
});
