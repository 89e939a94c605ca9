import { isId } from '../../lib/ids.ts';
import { openApi } from '../api.ts';
import { type Context, command, type OptionValues } from '../command.ts';
import { asItHappened, eventLine, eventNamer, happenedAt, reasonOf } from '../event-lines.ts';
import { followEvents } from '../following.ts';
import { findAgent, findOwner, findPerson, findResource } from '../names.ts';
import { shortTime, table } from '../output.ts';
import type { Event } from '../registry.ts';
import { wholeNumber } from '../values.ts';

export { reasonOf } from '../event-lines.ts';

type Api = ReturnType<typeof openApi>;

const filters = {
  agent: {
    value: 'AGENT',
    description: 'Only what this agent did, and what was done to it, its credentials and its instances.',
  },
  by: { value: 'AGENT', description: 'Only what this agent did.' },
  owner: { value: 'OWNER', description: 'Only what agents of this team or person did.' },
  about: { value: 'ID', description: 'Only where this id stands, of whatever it is.' },
  target: { value: 'ID', description: 'Only what was done to this.' },
  instance: { value: 'ID', description: 'Only of this instance.' },
  credential: { value: 'ID', description: 'Only by this credential.' },
  task: { value: 'ID', description: 'Only under this task.' },
  workflow: { value: 'NAME', description: 'Only under tasks of this workflow.' },
  type: { value: 'TYPE', description: 'Only events of this type, such as token.refused; several with commas.' },
  outcome: { value: 'OUTCOME', description: 'Only allowed or refused ones.' },
  resource: { value: 'RESOURCE', description: 'Only about this resource, by name, identifier or id.' },
  operation: { value: 'NAME', description: 'Only this operation at a resource.' },
  policy: { value: 'POLICY', description: 'Only what this policy decided, or this statement (policy/statement).' },
  jti: { value: 'JTI', description: 'Only about this token.' },
  trace: { value: 'ID', description: 'Only of this W3C trace id.' },
  person: { value: 'PERSON', description: 'Only for this person: an address, a name or an id.' },
  address: { value: 'IP', description: 'Only from this address.' },
  text: { value: 'WORDS', description: 'Only with all of these words, in what isn’t personal.' },
  since: { value: 'TIME', description: 'Only from this time on, such as 2030-01-31T12:00:00Z.' },
  until: { value: 'TIME', description: 'Only before this time.' },
} as const;

const limit = { value: 'NUMBER', description: 'How many at most (default 50).' } as const;

const list = command({
  name: 'events list',
  summary: 'Read the log as a table: who did what, allowed or refused, newest first.',
  description: 'With --json each event is one line, so that `jq` and `grep` can work on them.',
  options: { ...filters, limit },
  examples: [
    { command: 'bailiwick events list --outcome refused', does: 'What was refused lately' },
    { command: 'bailiwick events list --agent desk', does: 'What desk did, who stopped it, and why' },
    { command: 'bailiwick events list --by desk --json --limit 1000 | jq .type', does: 'For a program' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const { items, names } = await newest(context, api, options);
    if (context.globals.json) {
      for (const event of items) context.io.out(`${JSON.stringify(event)}\n`);
      return;
    }
    const nameOf = await eventNamer(api, names);
    const text = table(
      context,
      asItHappened(items.toReversed()).toReversed(),
      [
        { title: 'HAPPENED', value: (event) => shortTime(happenedAt(event)), whole: true },
        {
          title: 'OUTCOME',
          value: ({ outcome }) => outcome,
          style: ({ outcome }) => (outcome === 'refused' ? 'red' : 'green'),
        },
        { title: 'EVENT', value: ({ type }) => type },
        { title: 'BY', value: ({ agent }) => (agent === undefined ? '' : nameOf(agent)) },
        { title: 'ABOUT', value: ({ target, resource }) => (target === undefined ? (resource ?? '') : nameOf(target)) },
        { title: 'REASON', value: reasonOf },
      ],
      'Nothing in the log fits.',
    );
    context.io.out(`${text}\n`);
  },
});

const events = command({
  name: 'events',
  summary: 'Read the log line by line, the newest last; with --follow, as it grows.',
  description: 'With --json each line is one event. Who may read only what concerns their own agents sees that.',
  options: {
    ...filters,
    limit,
    follow: { short: 'f', description: 'Go on with what happens from now on, until Ctrl-C.' },
  },
  examples: [
    { command: 'bailiwick events --follow', does: 'Watch everything' },
    { command: 'bailiwick events --outcome refused --follow', does: 'Watch what is refused' },
    { command: 'bailiwick events --task tsk_01jd7x… --limit 1000', does: 'All that was done under a task' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const { items, names } = await newest(context, api, options);
    const nameOf = context.globals.json ? (id: string) => id : await eventNamer(api, names);
    const say = (event: Event) =>
      context.io.out(`${context.globals.json ? JSON.stringify(event) : eventLine(context, event, nameOf)}\n`);
    const oldestFirst = items.toReversed();
    for (const event of context.globals.json ? oldestFirst : asItHappened(oldestFirst)) say(event);
    if (options.follow) return followEvents(context, api, await queryOf(api, options), items, say);
    if (items.length === 0 && !context.globals.json) context.io.err('Nothing in the log fits.\n');
  },
});

export const eventCommands = [events, list];

type Options = OptionValues<typeof filters> & { limit?: string | undefined };

async function newest(context: Context, api: Api, options: Options): Promise<{ items: Event[]; names: Names }> {
  const most = options.limit === undefined ? 50 : wholeNumber('--limit', options.limit);
  const query = { organization: context.globals.organization, ...(await queryOf(api, options)) };
  const items: Event[] = [];
  const names: Names = {};
  let cursor: string | undefined;
  do {
    const limit = Math.min(200, most - items.length);
    const page = await api.get<{ items: Event[]; names: Names; next_cursor?: string }>('/events', {
      ...query,
      limit,
      cursor,
    });
    items.push(...page.items);
    Object.assign(names, page.names);
    cursor = page.next_cursor;
  } while (cursor !== undefined && items.length < most);
  return { items, names };
}

type Names = Record<string, string>;

/** What is an id isn't looked up where that would be refused: whoever may read the log may know no more of it. */
async function queryOf(api: Api, options: Options): Promise<Record<string, string | undefined>> {
  const { agent, by, owner, person, resource, limit: _, ...same } = options;
  const open: Record<string, string | undefined> = {};
  for (const name of Object.keys(filters)) if (name in same) open[name] = same[name as keyof typeof same];
  const idOf = async (text: string, find: (api: Api, text: string) => Promise<{ id: string }>) => {
    const [, scope] = readBy.find(([kind]) => isId(kind, text)) ?? [];
    return scope === undefined || (await api.may(scope)) ? (await find(api, text)).id : text;
  };
  return {
    ...open,
    ...(agent !== undefined && { about: await idOf(agent, findAgent) }),
    ...(by !== undefined && { agent: await idOf(by, findAgent) }),
    ...(owner !== undefined && { owner: await idOf(owner, findOwner) }),
    ...(person !== undefined && { person: await idOf(person, findPerson) }),
    ...(resource !== undefined && { resource: await identifierOf(api, resource) }),
  };
}

const readBy = [
  ['agent', 'agents:read'],
  ['person', 'people:read'],
  ['team', 'teams:read'],
] as const;

/** The log names resources by identifier, and the API knows their ids. Who may read no resources has to know one of the two. @throws CliError (not_found) */
async function identifierOf(api: Api, text: string): Promise<string> {
  const isKnown = text.includes('://') || isId('resource', text);
  return isKnown && !(await api.may('resources:read')) ? text : (await findResource(api, text)).identifier;
}
