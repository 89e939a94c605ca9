/** The guide docs/guides/tasks.md: its commands, in their order, and both sides of its tasks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openGuide } from '../guide.ts';

test('from nothing to a token of a task, as the guide says', { timeout: 240_000 }, async (context) => {
  const { lines, run } = await openGuide(context, { page: 'tasks.md', example: 'tasks' });
  let said = '';
  for (const line of lines) said = await run(line);
  assert.match(
    said,
    /^At tsk_\w+ it may invoices:read\.\nMore than that: invalid_scope\.\nAfter its end: invalid_grant\.\nSigned: \[\{"type":"operation","actions":\["GET \/invoices"\]\}\]\.\nThe planner, at a task of its own: tasks:open\.\nBy its own word: invoices:read; and to pay: step_up_required\.\n$/,
  );
  const list = JSON.parse(await run('npx bailiwick tasks list --all --json')) as { items: { status: string }[] };
  assert.deepEqual(list.items.map(({ status }) => status).sort(), ['ended', 'ended', 'open']);
  const events = await run('npx bailiwick events list --limit 100 --json');
  for (const type of ['task.opened', 'task.ended']) assert.ok(events.includes(type), type);
});
