/** The guide docs/guides/act-for-a-person.md: its commands, in their order, with a scout at work when the mandate ends. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { until } from '../../packages/server/src/testing/until.ts';
import { openGuide } from '../guide.ts';

test('acted for, passed on, and ended in mid-flight, as the guide says', { timeout: 240_000 }, async (context) => {
  const { lines, run, begin, folder } = await openGuide(context, {
    page: 'act-for-a-person.md',
    example: 'mandate',
    ports: [3075],
    part: 'From a mandate to its end',
  });
  const log = () => readFileSync(path.join(folder, 'agent.log'), 'utf8');
  const said = new Map<string, string>();
  let mandate = '';
  for (const line of lines) {
    if (line.includes('api.ts')) await begin(line, /guarded/);
    else if (line.includes('agent.ts')) await begin(`${line} | tee agent.log`, /at work/);
    else said.set(line, await run(line.replace('mdt_…', mandate)));
    if (line.includes('mandates give'))
      mandate = /mdt_\w+/.exec(said.get(line) ?? '')?.[0] ?? assert.fail('no mandate');
  }
  const saidBy = (command: string) => [...said].find(([line]) => line.includes(command))?.[1] ?? '';

  const list = saidBy('mandates list');
  assert.equal(list.match(/Ada Byron/g)?.length, 2, list);
  const tree = saidBy('mandates tree');
  assert.match(tree, /^for Ada Byron\n[^\n]*assistant[^\n]*\n[\s\S]*scout/);
  assert.match(saidBy('revoke mandate'), /True at every guard after \d+ ms/);

  const [booked, alone, seen, beyond] = (await until(log, (text) => text.includes('Refused'))).split('\n');
  const trip = '\\{"to":"Vienna","traveller":"per_\\w+","bookedBy":"agt_\\w+"\\}';
  assert.match(booked ?? '', new RegExp(`^Booked: {"trips":\\[${trip}\\],"actors":\\["assistant"\\]}$`));
  assert.match(alone ?? '', /^Of its own accord: 403\. This takes the authority of a person/);
  assert.match(
    seen ?? '',
    new RegExp(`^Seen by the scout: {"trips":\\[${trip}\\],"actors":\\["scout","assistant"\\]}$`),
  );
  assert.match(beyond ?? '', /mandate mdt_\w+ does not allow trips:book on this resource$/);
  const [, calls, words] = /Refused after (\d+) calls: (.*)\n/.exec(log()) ?? [];
  assert.ok(Number(calls) > 0);
  assert.match(words ?? '', new RegExp(`mandate mdt_\\w+ rests on ${mandate}, which is stopped or has ended`));
});
