/** Tasks as administrators see and end them. They are opened elsewhere (`orchestrate/`, `grants/task-jwt.ts`), by orchestrators. */
import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { taskOpen } from '../tasks/standing.ts';
import { findTask, selectTasks } from '../tasks/store.ts';
import type { Task } from '../tasks/task.ts';
import { taskStatus } from '../tasks/wanted.ts';
import { pageOf } from '../web/paging.ts';
import { idOf, shownTime, taskName } from './fields.ts';
import { within } from './reach.ts';
import { revokedById } from './revoke.ts';
import { type Call, read, write } from './route.ts';
import { byId, common, listQuery, pageFilter, pageOfSchema } from './shapes.ts';

const shown = z.strictObject({
  ...common('task'),
  agent: idOf('agent').meta({ description: 'For whom it was opened.' }),
  orchestrator: idOf('agent').meta({ description: 'The agent that opened it.' }),
  workflow: z.string(),
  step: z.string().optional(),
  environment: z.string().optional(),
  purpose: z.string(),
  resources: z
    .array(
      z.strictObject({
        resource: idOf('resource'),
        scope: z.array(z.string()),
        authorization_details: z.array(z.record(z.string(), z.unknown())),
      }),
    )
    .optional()
    .meta({ description: 'What its tokens may be for; without: whatever its agent may.' }),
  status: taskStatus,
  ends_at: shownTime,
  ended_at: shownTime.optional().meta({ description: 'When it was ended before that.' }),
});

const show = (task: Task, open: boolean): z.output<typeof shown> => ({
  id: task.id,
  organization: task.org,
  agent: task.agent,
  orchestrator: task.orchestrator,
  workflow: task.workflow,
  ...(task.step !== undefined && { step: task.step }),
  ...(task.environment !== undefined && { environment: task.environment }),
  purpose: task.purpose,
  ...(task.resources && {
    resources: task.resources.map(({ resource, scope, details }) => ({
      resource,
      scope: [...scope],
      authorization_details: details.map((each) => ({ ...each })),
    })),
  }),
  status: open ? 'open' : 'ended',
  created_at: rfc3339(task.createdAt),
  ends_at: rfc3339(task.endsAt),
  ...(task.endedAt !== undefined && { ended_at: rfc3339(task.endedAt) }),
});

const found = async (call: Call, id: string): Promise<Task> => within(call, 'task', id, await findTask(call.q, id));

export const taskRoutes = [
  read({
    id: 'listTasks',
    path: '/tasks',
    summary: 'List tasks',
    description: 'Those that ended are listed for a while (`instances.keep_ended_seconds`).',
    scopes: ['tasks:read'],
    query: listQuery({
      agent: idOf('agent').optional().meta({ description: 'For whom they were opened.' }),
      orchestrator: idOf('agent').optional().meta({ description: 'Who opened them.' }),
      workflow: taskName.optional(),
      status: taskStatus.optional(),
    }),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const { shown: most, ...page } = pageFilter('task', query);
      const { agent, orchestrator, workflow, status } = query;
      const filter = { org: call.org.id, agent, orchestrator, workflow, status, now: call.now, ...page };
      const tasks = await selectTasks(call.q, filter);
      const open = new Set<string>();
      for (const task of tasks) if (await taskOpen(call.q, task, call.now)) open.add(task.id);
      const { items, ...rest } = pageOf(tasks, most, (task) => show(task, open.has(task.id)));
      // what only a look at everything tells (the credential that opened it was removed) ends it too
      return { items: status === undefined ? items : items.filter((item) => item.status === status), ...rest };
    },
  }),
  read({
    id: 'getTask',
    path: '/tasks/{id}',
    summary: 'Show a task',
    scopes: ['tasks:read'],
    params: byId('task'),
    response: shown,
    async handler(call, { params }) {
      const task = await found(call, params.id);
      return show(task, await taskOpen(call.q, task, call.now));
    },
  }),
  write('DELETE', {
    id: 'endTask',
    path: '/tasks/{id}',
    summary: 'End a task for good',
    description: 'All its tokens end with it, at once, and the tasks that were opened with them.',
    scopes: ['tasks:write'],
    params: byId('task'),
    async handler(call, { params }) {
      const { id } = await found(call, params.id);
      const wanted = { effect: 'end' as const, reason: 'ended by an administrator' };
      return { body: undefined, event: await revokedById(call, 'task', id, wanted) };
    },
  }),
] as const;
