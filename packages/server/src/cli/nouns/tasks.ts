import { type Api, openApi } from '../api.ts';
import { command, yes } from '../command.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { findAgent, namer } from '../names.ts';
import { fields, shortTime, show, table } from '../output.ts';
import type { Agent, Resource } from '../registry.ts';
import { statusStyle } from './status.ts';

interface Task {
  id: string;
  organization: string;
  agent: string;
  orchestrator: string;
  workflow: string;
  step?: string;
  environment?: string;
  purpose: string;
  resources?: { resource: string; scope: string[]; authorization_details: { type: string }[] }[];
  status: 'open' | 'ended';
  created_at: string;
  ends_at: string;
  ended_at?: string;
}

const list = command({
  name: 'tasks list',
  summary: 'List tasks: the work that orchestrators opened for agents.',
  options: {
    agent: { value: 'AGENT', description: 'Only those for this agent.' },
    orchestrator: { value: 'AGENT', description: 'Only those that this agent opened.' },
    workflow: { value: 'NAME', description: 'Only those of this workflow.' },
    all: { description: 'Those that have ended lately too.' },
  },
  examples: [
    { command: 'bailiwick tasks list', does: 'Everything that is being worked at' },
    { command: 'bailiwick tasks list --agent desk --all', does: 'What one agent works at, and did' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const idOf = async (name: string | undefined) => (name === undefined ? undefined : (await findAgent(api, name)).id);
    const items = await api.list<Task>('/tasks', {
      agent: await idOf(options.agent),
      orchestrator: await idOf(options.orchestrator),
      workflow: options.workflow,
      status: options.all ? undefined : 'open',
    });
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = namer(await api.list<Agent>('/agents'));
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'AGENT', value: (one) => nameOf(one.agent) },
          { title: 'WORKFLOW', value: ({ workflow, step }) => (step === undefined ? workflow : `${workflow}/${step}`) },
          { title: 'ENVIRONMENT', value: ({ environment }) => environment ?? '' },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => styleOf(status) },
          { title: 'OPENED BY', value: (one) => nameOf(one.orchestrator) },
          { title: 'ENDS', value: ({ ended_at, ends_at }) => shortTime(ended_at ?? ends_at) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No tasks.',
      ),
    );
  },
});

const showOne = command({
  name: 'tasks show',
  summary: 'Show a task: for whom, opened by whom, what its tokens may be for, when it ends.',
  arguments: [{ name: 'task', description: 'The id of a task (`bailiwick tasks list`).' }],
  examples: [{ command: 'bailiwick tasks show tsk_06cyv…', does: 'All that is known of it' }],
  async run(context, [text]) {
    const api = openApi(context);
    const task = await found(api, text);
    if (context.globals.json) return show(context, task, () => '');
    const agentOf = namer(await api.list<Agent>('/agents'));
    const resourceOf = namer(task.resources === undefined ? [] : await api.list<Resource>('/resources'));
    const shown = fields(context, [
      ['id', task.id],
      ['agent', agentOf(task.agent)],
      ['opened by', agentOf(task.orchestrator)],
      ['workflow', task.workflow],
      ['step', task.step],
      ['environment', task.environment],
      ['purpose', task.purpose === '' ? undefined : task.purpose],
      ['status', task.status],
      [
        'for',
        task.resources
          ?.map(({ resource, scope, authorization_details: details }) =>
            [`${resourceOf(resource)}:`, ...scope, ...details.map((each) => JSON.stringify(each))].join(' '),
          )
          .join('\n') ?? 'whatever its agent may',
      ],
      ['created', shortTime(task.created_at)],
      ['ends', shortTime(task.ends_at)],
      ['ended', task.ended_at === undefined ? undefined : shortTime(task.ended_at)],
    ]);
    context.io.out(`${shown}\n`);
  },
});

const end = command({
  name: 'tasks end',
  summary: 'End a task for good, with all its tokens.',
  arguments: [{ name: 'task', description: 'The id of a task (`bailiwick tasks list`).' }],
  options: { yes },
  examples: [{ command: 'bailiwick tasks end tsk_06cyv… --yes', does: 'End one without being asked' }],
  async run(context, [text], options) {
    const api = openApi(context);
    const task = await found(api, text);
    if (task.status === 'ended') return show(context, task, () => `${task.id} had ended already.`);
    await confirm(context.io, `This ends ${task.id} (${task.workflow}) for good, and its tokens.`, options.yes);
    await api.delete(`/tasks/${task.id}`);
    show(context, { ...task, status: 'ended' }, () => `Ended ${task.id}.`);
  },
});

export const taskCommands = [list, showOne, end];

const styleOf = (status: Task['status']) => statusStyle(status === 'open' ? 'active' : status);

function found(api: Api, text: string): Promise<Task> {
  if (/^tsk_[0-9a-z]+$/.test(text)) return api.get<Task>(`/tasks/${text}`);
  throw new CliError('usage', `"${text}" is not the id of a task.`, { hint: 'See `bailiwick tasks list`.' });
}
