import { type IdKind, isId } from '../../lib/ids.ts';
import { openApi } from '../api.ts';
import { type Context, command, type OptionValues } from '../command.ts';
import { CliError } from '../errors.ts';
import { asItHappened, eventLine, eventNamer, happenedAt, reasonOf } from '../event-lines.ts';
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
    if (options.follow) return follow(context, api, await queryOf(api, options), items, say);
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

/** What has no name in the API is given as it is, and what is an id already isn't looked up: whoever may read the log may know no more of it. */
async function queryOf(api: Api, options: Options): Promise<Record<string, string | undefined>> {
  const { agent, by, owner, person, resource, limit: _, ...same } = options;
  const open: Record<string, string | undefined> = {};
  for (const name of Object.keys(filters)) if (name in same) open[name] = same[name as keyof typeof same];
  const idOf = async (
    text: string,
    kinds: readonly IdKind[],
    find: (api: Api, text: string) => Promise<{ id: string }>,
  ) => (kinds.some((kind) => isId(kind, text)) ? text : (await find(api, text)).id);
  return {
    ...open,
    ...(agent !== undefined && { about: await idOf(agent, ['agent'], findAgent) }),
    ...(by !== undefined && { agent: await idOf(by, ['agent'], findAgent) }),
    ...(owner !== undefined && { owner: await idOf(owner, ['person', 'team'], findOwner) }),
    ...(person !== undefined && { person: await idOf(person, ['person'], findPerson) }),
    ...(resource !== undefined && { resource: await identifierOf(api, resource) }),
  };
}

/**
 * The stream of what is new, gone on with whenever it ends: the token of one stream lives for minutes.
 * @param items what was told already, newest first: what comes between reading and following is told once
 */
async function follow(
  context: Context,
  api: Api,
  query: Record<string, string | undefined>,
  items: readonly Event[],
  say: (event: Event) => void,
): Promise<void> {
  const known = new Set(items.map(({ id }) => id));
  const stop = new AbortController();
  const { terminated, unread } = context.io;
  for (const end of [terminated(), unread]) {
    void end?.then(
      () => stop.abort(),
      () => undefined,
    );
  }
  let lastEventId: string | undefined;
  for (let empty = 0; !stop.signal.aborted && empty < 3; ) {
    empty += 1;
    try {
      const response = await api.stream('/events/tail', query, { lastEventId, signal: stop.signal });
      if (lastEventId === undefined) await between(api, query, known, say);
      for await (const { id, data } of messagesOf(response)) {
        if (id !== undefined) lastEventId = id;
        empty = 0;
        const event = data === undefined ? undefined : (JSON.parse(data) as Event);
        if (event?.id !== undefined && !known.has(event.id)) say(event);
      }
    } catch (error) {
      if (stop.signal.aborted) return;
      if (error instanceof CliError) throw error;
      // the connection broke: go on where it was
    }
  }
  if (!stop.signal.aborted) throw new CliError('unreachable', 'The server ends the stream as soon as it has begun.');
}

/** What happened after the last event that was read and before the stream began: it is known, too, should the stream bring it. */
async function between(
  api: Api,
  query: Record<string, string | undefined>,
  known: Set<string>,
  say: (event: Event) => void,
): Promise<void> {
  if (known.size === 0) return;
  const items = await api.list<Event>('/events', query, 200);
  const at = items.findIndex(({ id }) => known.has(id));
  for (const event of items.slice(0, Math.max(0, at)).toReversed()) {
    known.add(event.id);
    say(event);
  }
}

/** @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation */
async function* messagesOf(response: Response): AsyncGenerator<{ id?: string | undefined; data?: string | undefined }> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (name: string) =>
        block
          .split('\n')
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2);
      yield { id: field('id'), data: field('event') === undefined ? field('data') : undefined };
    }
  }
}

/** The log names resources by identifier, and the API knows them by their id, too. @throws CliError (not_found) */
async function identifierOf(api: Api, text: string): Promise<string> {
  if (isId('resource', text)) return text;
  // who may read the log and no resources has to know the identifier
  if (text.includes('://') && !(await api.may('resources:read'))) return text;
  return (await findResource(api, text)).identifier;
}
