/** The guide docs/guides/orchestrate-sub-agents.md: its commands, in their order, with four agents at work when the last one's branch is ended. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { until } from '../../packages/server/src/testing/until.ts';
import { openGuide } from '../guide.ts';

test('a row of four, each with less, and the last one stopped in mid-flight, as the guide says', {
  timeout: 240_000,
}, async (context) => {
  const { lines, run, begin, folder } = await openGuide(context, {
    page: 'orchestrate-sub-agents.md',
    example: 'orchestrator',
    ports: [3085],
    part: 'From one mandate to a row of four',
  });
  const log = () => readFileSync(path.join(folder, 'agent.log'), 'utf8');
  const said: string[] = [];
  const ids: string[] = []; // mdt_1… to mdt_4…, as the page calls them
  for (const line of lines) {
    const named = line.replace(/mdt_(\d)…/, (_, nth) => ids[Number(nth) - 1] ?? assert.fail(`${line}: not known yet`));
    if (line.includes('api.ts')) await begin(line, /guarded/);
    else if (line.includes('agent.ts')) await begin(`${line} | tee agent.log`, /sorter: is at work/);
    else said.push(await run(named));
    const known = line.includes('mandates give') || line.includes('mandates tree');
    if (known)
      ids.push(
        ...new Set(
          said
            .at(-1)
            ?.match(/mdt_\w+/g)
            ?.slice(ids.length),
        ),
      );
  }
  const ended = await until(log, (text) => /^secretary: (went|stopped)/m.test(text));
  const [before, after, story] = [said.at(-4), said.at(-2), said.at(-1)] as [string, string, string];

  const names = ['secretary', 'writer', 'reader', 'sorter'];
  assert.match(before, /^for Charles Babbage\nsecretary {2}active/);
  for (const [at, name] of names.entries()) {
    assert.match(before, new RegExp(`${name} {2}active .*${ids[at]}`), before);
    assert.match(after, new RegExp(`${name} {2}${name === 'sorter' ? 'ended' : 'active'} .*${ids[at]}`), after);
  }
  assert.match(after, /sorter.*\n.*: mail:list\n.*4 of 5 uses left/);
  for (const part of [
    'reader passed on a mandate to sorter',
    'sorter got a token for',
    /sorter used it \d+ times/,
    'operator ended the mandate',
    /no guard that follows accepts it any more|sorter was refused/,
  ]) {
    assert.match(story, typeof part === 'string' ? new RegExp(part) : part, story);
  }

  const lineOf = (name: string, part: RegExp) =>
    ended.split('\n').find((line) => line.startsWith(`${name}: `) && part.test(line)) ??
    assert.fail(`${name} ${part}\n${ended}`);
  const scopes = ['mail:list', 'mail:read', 'mail:draft', 'mail:send'];
  for (const [at, name] of names.entries()) {
    assert.equal(lineOf(name, /may/), `${name}: may ${scopes.slice(0, 4 - at).join(' ')}`);
    if (at > 0) assert.match(lineOf(name, /is refused/), new RegExp(`: 403\\. .* needs the scope: ${scopes[4 - at]}$`));
    if (at < 3) assert.match(lineOf(name, /went on/), /none of \d+ calls was refused$/);
  }
  assert.match(lineOf('sorter', /at work/), /as sorter ◀ reader ◀ writer ◀ secretary$/);
  const [, calls, words] = /stopped after (\d+) calls: (.*)$/.exec(lineOf('sorter', /stopped/)) ?? [];
  assert.ok(Number(calls) > 0);
  assert.match(words ?? '', new RegExp(`mandate ${ids[3]} is paused, or has ended$`));
});
