import { type Api, openApi } from '../api.ts';
import { command, yes } from '../command.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { findAgent, namer } from '../names.ts';
import { fields, shortTime, show, table } from '../output.ts';
import type { Agent, Instance, Resource } from '../registry.ts';
import { statusStyle } from './status.ts';

const list = command({
  name: 'instances list',
  summary: 'List instances: the running copies of agents.',
  options: {
    agent: { value: 'AGENT', description: 'Only those of this agent.' },
    parent: { value: 'INSTANCE', description: 'Only the children of this one.' },
    all: { description: 'Those that have ended lately too.' },
  },
  examples: [
    { command: 'bailiwick instances list', does: 'Everything that runs now' },
    { command: 'bailiwick instances list --agent desk --all', does: 'What runs of one agent, and what did' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const agent = options.agent === undefined ? undefined : (await findAgent(api, options.agent)).id;
    const parent = options.parent === undefined ? undefined : instanceId(options.parent);
    const items = await api.list<Instance>('/instances', { agent, parent, status: options.all ? undefined : 'active' });
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = namer(await api.list<Agent>('/agents'));
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'AGENT', value: (one) => nameOf(one.agent) },
          { title: 'NAME', value: ({ name }) => name ?? '' },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'KNOWN', value: known },
          { title: 'ENDS', value: ({ expires_at }) => shortTime(expires_at) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No instances.',
      ),
    );
  },
});

const showOne = command({
  name: 'instances show',
  summary: 'Show an instance: whose it is, what is known of it and from where, when it ends.',
  arguments: [{ name: 'instance', description: 'The id of an instance (`bailiwick instances list`).' }],
  examples: [{ command: 'bailiwick instances show ins_06cyv…', does: 'All that is known of it' }],
  async run(context, [text]) {
    const api = openApi(context);
    const instance = await found(api, text);
    if (context.globals.json) return show(context, instance, () => '');
    const agentOf = namer(await api.list<Agent>('/agents'));
    const resourceOf = namer(instance.allowed === undefined ? [] : await api.list<Resource>('/resources'));
    const shown = fields(context, [
      ['id', instance.id],
      ['agent', agentOf(instance.agent)],
      ['subject', instance.subject],
      ['status', instance.status],
      ['parent', instance.parent],
      ['name', instance.name],
      [
        'known',
        lines(Object.entries(instance.attributes).map(([name, one]) => `${name}: ${one.value} (${one.provenance})`)),
      ],
      [
        'allowed',
        lines((instance.allowed ?? []).map(({ resource, scope }) => `${resourceOf(resource)}: ${scope.join(' ')}`)),
      ],
      ['enrolled with', instance.credential],
      ['key', `${instance.alg} ${instance.thumbprint}`],
      ['created', shortTime(instance.created_at)],
      ['renewed', instance.renewed_at === instance.created_at ? undefined : shortTime(instance.renewed_at)],
      ['ends', shortTime(instance.expires_at)],
    ]);
    context.io.out(`${shown}\n`);
  },
});

const end = command({
  name: 'instances end',
  summary: 'End an instance for good, with its children and all their tokens. Or all of an agent.',
  description:
    'With --agent all instances of an agent end. Others can enrol as soon as they have: `bailiwick agents suspend` stops that too.',
  arguments: [{ name: 'instance', description: 'The id of an instance (`bailiwick instances list`).', optional: true }],
  options: {
    agent: { value: 'AGENT', description: 'All instances of this agent.' },
    reason: { value: 'TEXT', description: 'Why, for the log (with --agent).' },
    yes,
  },
  examples: [
    { command: 'bailiwick instances end ins_06cyv… --yes', does: 'End one without being asked' },
    { command: 'bailiwick instances end --agent desk --reason "bad release"', does: 'End all of an agent' },
  ],
  async run(context, [text], options) {
    if ((text === undefined) === (options.agent === undefined)) {
      throw new CliError('usage', 'Which? Name one instance, or all of an agent with --agent.');
    }
    const api = openApi(context);
    if (text !== undefined) {
      const instance = await found(api, text);
      if (instance.status === 'ended') {
        return show(
          context,
          instance,
          () => `${instance.id} had ended already, ${shortTime(instance.expires_at)} at the latest.`,
        );
      }
      await confirm(context.io, `This ends ${instance.subject} for good, with its children and tokens.`, options.yes);
      await api.delete(`/instances/${instance.id}`);
      show(context, { ...instance, status: 'ended' }, () => `Ended ${instance.id}.`);
      return;
    }
    const agent = await findAgent(api, options.agent as string);
    await confirm(context.io, `This ends all instances of ${agent.name} for good, and their tokens.`, options.yes);
    let ended = 0;
    for (let more = true; more; ) {
      const part = await api.post<{ ended: number; more: boolean }>('/instances/end', {
        agent: agent.id,
        reason: options.reason,
      });
      ended += part.ended;
      more = part.more && part.ended > 0;
      if (more) context.io.err(`${ended} ended so far\n`);
    }
    show(
      context,
      { agent: agent.id, ended },
      () => `Ended ${ended} instance${ended === 1 ? '' : 's'} of ${agent.name}.`,
    );
  },
});

export const instanceCommands = [list, showOne, end];

const known = ({ attributes }: Instance): string =>
  Object.entries(attributes)
    .map(([name, { value }]) => `${name}=${value}`)
    .join(' ');

const lines = (all: readonly string[]): string | undefined => (all.length > 0 ? all.join('\n') : undefined);

function instanceId(text: string): string {
  if (/^ins_[0-9a-z]+$/.test(text)) return text;
  throw new CliError('usage', `"${text}" is not the id of an instance.`, { hint: 'See `bailiwick instances list`.' });
}

const found = (api: Api, text: string): Promise<Instance> => api.get<Instance>(`/instances/${instanceId(text)}`);
