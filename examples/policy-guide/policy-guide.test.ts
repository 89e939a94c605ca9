/** The guide docs/guides/policies.md: all of its commands, in their order, and what they say. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { commandsIn, openGuide } from '../guide.ts';

test('from a role to a policy, as the guide says', { timeout: 480_000 }, async (context) => {
  const { run } = await openGuide(context, { page: 'policies.md', example: 'policy-guide' });
  const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/guides/policies.md'), 'utf8');
  const said = new Map<string, string>();
  for (const line of commandsIn(page)) said.set(line, await run(line));
  const answers = (words: string) => {
    const found = [...said].filter(([line]) => line.includes(words)).map(([, answer]) => answer);
    assert.ok(found.length > 0, `no command of the guide has ${words}`);
    return found;
  };

  assert.match(answers('policy show starter')[0] ?? '', /@id\("roles-do-what-they-say"\)/);
  assert.match(answers('policy check')[0] ?? '', /exports: one statement/);
  assert.match(answers('policy test')[0] ?? '', /All 3 cases are as they should be/);
  assert.match(
    answers('policy simulate')[0] ?? '',
    /^Would be refused what is allowed now \(1\)\nWHO .*\nreporter +token:issue .* exports\/only-at-month-end \(not yet\)\n\n2 decisions/,
  );
  const observed = (answers('events list --by reporter --json')[0] ?? '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { decided_on: { observed?: { decision: string; by: string[] } } })
    .flatMap(({ decided_on }) => (decided_on.observed ? [decided_on.observed] : []));
  assert.deepEqual(
    observed.map(({ decision, by }) => [decision, by]),
    [['step_up', ['exports/only-at-month-end']]],
  );
  const [notYet, yes] = answers('policy explain reporter --resource');
  assert.match(notYet ?? '', /^reporter: not yet\..*only-at-month-end wants more/);
  assert.match(notYet ?? '', /It would take a task that an orchestrator has opened/);
  assert.match(yes ?? '', /^reporter: yes$/m);
  assert.match(answers('policy explain --resource crm')[0] ?? '', /^Nobody may( now)?\./);
  assert.match(
    answers('explain reporter --last')[0] ?? '',
    /^token\.issued at .*\nIt may get the token.* Today: It may not get the token yet/,
  );
  assert.match(answers('policy rollback')[0] ?? '', /says what it said/);
  assert.match(answers('policy remove')[0] ?? '', /decides no more/);
});
