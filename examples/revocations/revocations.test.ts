/** The guide docs/guides/revoke-and-prove-it.md: its commands, in their order, with an agent at work meanwhile. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../../packages/server/src/testing/until.ts';
import { openGuide } from '../guide.ts';

test('revoked, acknowledged, refused and on record, as the guide says', { timeout: 240_000 }, async (context) => {
  const { lines, run, begin, folder } = await openGuide(context, {
    page: 'revoke-and-prove-it.md',
    example: 'revocations',
    ports: [3070],
    part: 'From an agent at work to a proof',
  });
  const said = new Map<string, string>();
  for (const line of lines) {
    if (line.includes('api.ts')) await begin(line, /guarded/);
    else if (line.includes('porter.ts')) await begin(`${line} | tee porter.log`, /At work/);
    else said.set(line, await run(line));
  }
  const revoked = [...said].find(([line]) => line.includes('bailiwick revoke '))?.[1] ?? '';
  assert.match(revoked, /parcels +parcels-guard +applied +\d+ ms/);
  assert.match(revoked, /The agent porter is stopped \(revocation \d+\)\. True at every guard after \d+ ms\./);
  const story = [...said].find(([line]) => line.includes('bailiwick trace '))?.[1] ?? '';
  for (const part of ['porter was suspended by operator', 'no guard that follows accepts it any more: applied by 1'])
    assert.ok(story.includes(part), story);
  const list = [...said].find(([line]) => line.includes('revocations list'))?.[1] ?? '';
  assert.match(list, /agent +suspended +porter +operator +calls that nobody can explain/);
  const porter = () => readFileSync(path.join(folder, 'porter.log'), 'utf8');
  await until(
    porter,
    (text) => text.includes('Refused'),
    () => pause(50),
  );
  assert.match(porter(), /^At work\.\nRefused after \d+ calls: unauthorized_client\.\n$/);
});
