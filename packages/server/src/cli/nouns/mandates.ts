/** What people let agents do for them. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Api, openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { mandateOptions, powerFrom } from '../mandate-options.ts';
import {
  leftInWords,
  type Mandate,
  mandateInWords,
  type NameOf,
  powerInWords,
  statusInWords,
  styleOf,
  treeInWords,
} from '../mandate-words.ts';
import { findAgent, findPerson, findResource, namer } from '../names.ts';
import { shortTime, show, table } from '../output.ts';
import type { Agent, Person } from '../registry.ts';
import { requests } from './mandate-requests.ts';

const mandateArgument = { name: 'mandate', description: 'The id of a mandate (`bailiwick mandates list`).' } as const;
const reason = { value: 'TEXT', description: 'Why, for the log. Leave names of people out.' } as const;

const list = command({
  name: 'mandates list',
  summary: 'List mandates: what people let agents do for them.',
  options: {
    person: { value: 'PERSON', description: 'Only what this person let agents do, by name, address or id.' },
    agent: { value: 'AGENT', description: 'Only what this agent may do.' },
    resource: { value: 'RESOURCE', description: 'Only what is about this resource.' },
    parent: { value: 'ID', description: 'Only what was passed on from this mandate.' },
    all: { description: 'Those that are over, too.' },
  },
  examples: [
    { command: 'bailiwick mandates list', does: 'Who may act for whom' },
    { command: 'bailiwick mandates list --person ada@example.com --all', does: 'All that Ada let agents do lately' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const { person, agent, resource, parent } = options;
    const all = await api.list<Mandate>('/mandates', {
      person: person === undefined ? undefined : (await findPerson(api, person)).id,
      agent: agent === undefined ? undefined : (await findAgent(api, agent)).id,
      resource: resource === undefined ? undefined : (await findResource(api, resource)).id,
      parent,
    });
    const items = options.all ? all : all.filter(({ status }) => status !== 'ended' && status !== 'expired');
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = await names(api);
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'FOR', value: (one) => nameOf(one.person) },
          { title: 'AGENT', value: (one) => nameOf(one.agent) },
          { title: 'MAY', value: (one) => powerInWords(one).join('; ') },
          { title: 'STATUS', value: (one) => statusInWords(one, nameOf), style: styleOf },
          { title: 'LEFT', value: (one) => leftInWords(one).join('; ') },
          { title: 'ENDS', value: ({ ended_at, expires_at }) => shortTime(ended_at ?? expires_at) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No mandates. `bailiwick mandates give --help` shows how to give one.',
      ),
    );
  },
});

const showOne = command({
  name: 'mandates show',
  summary: 'Show a mandate: for whom, what it allows, how it was given, what is left of it.',
  arguments: [mandateArgument],
  examples: [{ command: 'bailiwick mandates show mdt_06cyv…', does: 'All that is known of it' }],
  async run(context, [id]) {
    const api = openApi(context);
    await shown(context, api, await found(api, id));
  },
});

const tree = command({
  name: 'mandates tree',
  summary: 'Show who passed what to whom, and what is left, as it stands now.',
  arguments: [mandateArgument],
  options: {
    below: { description: 'Only this one and what was passed on of it, not the whole tree that it stands in.' },
  },
  examples: [{ command: 'bailiwick mandates tree mdt_06cyv…', does: 'From the person down to the last sub-agent' }],
  async run(context, [id], options) {
    const api = openApi(context);
    const below = options.below ? 'true' : undefined;
    const all = await api.get<{ person: string; mandates: Mandate[]; more: boolean }>(`${pathOf(id)}/tree`, { below });
    if (context.globals.json) return show(context, all, () => '');
    const nameOf = await names(api);
    const more = all.more ? '\n… and more: look below one of them, with --below.' : '';
    context.io.out(`for ${nameOf(all.person)}\n${treeInWords(context, all.mandates, nameOf)}${more}\n`);
  },
});

const give = command({
  name: 'mandates give',
  summary: 'Let an agent act for a person.',
  description:
    'For what the person agreed to elsewhere, or what an organization decides for its people. Whatever it says, no token of it is wider than what the roles of the agent give.',
  arguments: [{ name: 'agent', description: 'The name or id of the agent that may act.' }],
  options: {
    for: { value: 'PERSON', description: 'For whom, by name, address or id.' },
    name: { value: 'NAME', description: 'What to call it, so that it is told apart. Not the name of somebody.' },
    instance: { value: 'ID', description: 'The one running copy of the agent that may, with its children.' },
    ...mandateOptions,
    way: {
      value: 'WAY',
      description: 'How the person gave it, where it was given elsewhere: consent, device, ciba or assertion.',
    },
    text: { value: 'FILE', description: 'The text that the person saw, in a file.' },
    language: { value: 'LANGUAGE', description: 'In which language that is, such as en or pt-BR.' },
  },
  examples: [
    {
      command:
        'bailiwick mandates give assistant --for ada@example.com --permission travel=trips:book \\\n' +
        '  --uses 20 --depth 1 --expires 30d',
      does: 'It may book trips for Ada, twenty times, and pass that on once',
    },
    {
      command:
        'bailiwick mandates give assistant --for ada@example.com --expires 8h \\\n' +
        '  --details \'bank={"type":"payment","amount":100}\' --total payment:/amount=500,/currency=EUR',
      does: 'It may pay for Ada today: 100 at a time, 500 EUR in total',
    },
  ],
  async run(context, [agentName], options) {
    if (options.for === undefined) throw new CliError('usage', 'For whom? Name the person with --for.');
    if (options.expires === undefined) throw new CliError('usage', 'Until when? Say it with --expires, such as 30d.');
    const api = openApi(context);
    const power = await powerFrom(api, options, context.io.now());
    if (power.resources === undefined) {
      throw new CliError('usage', 'A mandate that allows nothing is none: name a --permission or --details.');
    }
    const agent = await findAgent(api, agentName);
    const person = await findPerson(api, options.for);
    const { way, language, instance, name } = options;
    const text = options.text === undefined ? undefined : readText(context, options.text);
    const { hints = [], ...mandate } = await api.create<Mandate & { hints?: string[] }>('/mandates', {
      person: person.id,
      agent: agent.id,
      instance,
      name,
      ...power,
      given: { way, text, language },
    });
    show(context, { ...mandate, ...(hints.length > 0 && { hints }) }, () =>
      [
        `${agent.name} may act for ${person.name}: ${mandate.id}, until ${shortTime(mandate.expires_at)}.`,
        ...hints.map((hint) => `Note: ${hint}.`),
      ].join('\n'),
    );
  },
});

const narrow = command({
  name: 'mandates narrow',
  summary: 'Let a mandate allow less. Its tokens end; new ones are within what is left.',
  description:
    '--permission and --details together replace all that it allows, and so do --total and --to. What would be more is refused: give a new mandate for that.',
  arguments: [mandateArgument],
  options: mandateOptions,
  examples: [
    { command: 'bailiwick mandates narrow mdt_06cyv… --uses 5 --depth 0', does: 'Five times in all, by nobody else' },
    { command: 'bailiwick mandates narrow mdt_06cyv… --permission travel=trips:read', does: 'Only look from now on' },
  ],
  async run(context, [id], options) {
    const api = openApi(context);
    const power = await powerFrom(api, options, context.io.now());
    if (Object.keys(power).length === 0) {
      throw new CliError('usage', 'Nothing to narrow was named.', { hint: 'See `bailiwick mandates narrow --help`.' });
    }
    await shown(context, api, await api.patch<Mandate>(pathOf(id), power));
  },
});

const pause = command({
  name: 'mandates pause',
  summary: 'Stop a mandate until it is resumed, with all that was passed on of it.',
  arguments: [mandateArgument],
  options: { reason },
  examples: [{ command: 'bailiwick mandates pause mdt_06cyv… --reason "on leave"', does: 'Stop it for a while' }],
  async run(context, [id], options) {
    const after = await openApi(context).post<Mandate>(`${pathOf(id)}/pause`, { reason: options.reason });
    show(
      context,
      after,
      () => `Paused ${after.id}: no token of it lives. Until: bailiwick mandates resume ${after.id}`,
    );
  },
});

const resume = command({
  name: 'mandates resume',
  summary: 'Let a mandate be used again. Its earlier tokens stay dead.',
  arguments: [mandateArgument],
  examples: [{ command: 'bailiwick mandates resume mdt_06cyv…', does: 'It may be used again' }],
  async run(context, [id]) {
    const after = await openApi(context).post<Mandate>(`${pathOf(id)}/resume`);
    show(context, after, () => `Resumed ${after.id}.`);
  },
});

const end = command({
  name: 'mandates end',
  summary: 'End a mandate for good, with all that was passed on of it, and every token of any of these.',
  arguments: [mandateArgument],
  options: { yes, reason },
  examples: [{ command: 'bailiwick mandates end mdt_06cyv… --yes', does: 'End one without being asked' }],
  async run(context, [id], options) {
    const api = openApi(context);
    const mandate = await found(api, id);
    if (mandate.status === 'ended' || mandate.status === 'expired')
      return show(context, mandate, () => `${mandate.id} had ended already.`);
    await confirm(
      context.io,
      `This ends ${mandate.id} for good, with all that was passed on of it, and their tokens.`,
      options.yes,
    );
    const after = await api.post<Mandate>(`${pathOf(id)}/end`, { reason: options.reason });
    show(context, after, () => `Ended ${after.id}.`);
  },
});

export const mandateCommands = [list, showOne, tree, requests, give, narrow, pause, resume, end];

async function shown(context: Context, api: Api, mandate: Mandate): Promise<void> {
  if (context.globals.json) return show(context, mandate, () => '');
  const nameOf = await names(api);
  show(context, mandate, () => mandateInWords(context, mandate, nameOf));
}

/** What people and agents are called, as far as this identity may see them. */
async function names(api: Api): Promise<NameOf> {
  const people = await api.list<Person>('/people').catch(unseen);
  return namer(people, await api.list<Agent>('/agents').catch(unseen));
}

function unseen(error: unknown): never[] {
  if (error instanceof CliError && error.reason === 'refused') return [];
  throw error;
}

/** @throws CliError (usage) */
function pathOf(text: string): string {
  if (/^mdt_[0-9a-z]+$/.test(text)) return `/mandates/${text}`;
  throw new CliError('usage', `"${text}" is not the id of a mandate.`, { hint: 'See `bailiwick mandates list`.' });
}

const found = (api: Api, text: string): Promise<Mandate> => api.get<Mandate>(pathOf(text));

function readText(context: Context, file: string): string {
  try {
    return readFileSync(path.resolve(context.io.cwd, file), 'utf8');
  } catch (error) {
    throw new CliError('usage', `${file} can't be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}
