/** The guide docs/guides/an-agent-in-a-container.md: its commands, with a folder and a clean process in place of a container. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isSetting, openGuide } from '../guide.ts';

test('from nothing to a bound token, as the guide says', { timeout: 240_000 }, async (context) => {
  const { lines, run } = await openGuide(context, { page: 'an-agent-in-a-container.md', example: 'container' });
  const agent = readFileSync(path.join(import.meta.dirname, 'agent.ts'), 'utf8').split('\n');
  const isOfImage = (line: string) => /^docker build|tarballs|scripts\/build/.test(line);
  const own = lines.filter((line) => !isSetting(line) && !isOfImage(line));
  assert.ok(own.length + agent.filter((line) => line.trim() !== '').length < 10, 'under ten lines, and the image');

  let said = '';
  for (const line of lines) said = await run(line);
  assert.match(said, /^spiffe:\/\/localhost\/default\/packer\/ins_\w+ has a DPoP token for orders:read\.\n$/);

  const list = await run('npx bailiwick instances list --json');
  assert.deepEqual((JSON.parse(list) as { items: unknown[] }).items, [], 'it has ended itself');
  const events = await run('npx bailiwick events list --json');
  for (const type of ['instance.enrolled', 'token.issued', 'instance.ended']) assert.ok(events.includes(type), type);
});
