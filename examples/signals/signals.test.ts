/** The guide docs/guides/security-signals.md: all of its commands, in their order, with a listener that hears what they do. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../../packages/server/src/testing/until.ts';
import { openGuide } from '../guide.ts';

test('what is stopped is heard of, as the guide says', { timeout: 240_000 }, async (context) => {
  const { lines, run, begin, folder } = await openGuide(context, {
    page: 'security-signals.md',
    example: 'signals',
    part: 'Hear from others',
  });
  const said: [line: string, out: string][] = [];
  const heard = () => readFileSync(path.join(folder, 'listener.log'), 'utf8');
  for (const line of lines) {
    if (line.includes('listener.ts')) await begin(`${line} | tee listener.log`, /Listening on sst_/);
    else {
      said.push([line, await run(line)]);
      const event = line.includes('agents suspend')
        ? 'session-revoked'
        : line.includes('streams verify') && 'verification';
      if (!event) continue;
      await until(
        heard,
        (text) => text.includes(event),
        () => pause(50),
      );
    }
  }
  assert.match(heard(), /^session-revoked \{"format":"iss_sub","iss":"[^"]+","sub":"spiffe:\/\/[^"]+\/stray"\}$/m);
  assert.match(heard(), /^verification \{"format":"opaque","id":"sst_\w+"\}$/m);
  const answer = (words: string) =>
    said.find(([line]) => line.includes(words))?.[1] ?? assert.fail(`no command of the guide has ${words}`);
  assert.match(answer('signals streams list'), /fetched +enabled +0 /);
  assert.match(answer('signals sources create'), /endpoint_url: .*\n.*authorization_header, shown once: Bearer /);
  assert.match(answer('signals sources list'), /okta +https:\/\/example\.okta\.com +push/);
});
