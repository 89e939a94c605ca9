import { type Api, openApi } from '../api.ts';
import { command } from '../command.ts';
import { CliError } from '../errors.ts';
import { findAgent, findOwner, findResource, namer } from '../names.ts';
import { shortTime, table } from '../output.ts';
import type { Agent, Event, Resource, Role, Team } from '../registry.ts';
import { wholeNumber } from '../values.ts';

const list = command({
  name: 'events list',
  summary: 'Read the log: who did what, allowed or refused, newest first.',
  description: 'With --json each event is one line, so that `jq` and `grep` can work on them.',
  options: {
    agent: {
      value: 'AGENT',
      description: 'Only what this agent did, and what was done to it, its credentials and its instances.',
    },
    by: { value: 'AGENT', description: 'Only what this agent did.' },
    owner: { value: 'OWNER', description: 'Only what agents of this team or person did.' },
    type: { value: 'TYPE', description: 'Only events of this type, such as token.refused.' },
    outcome: { value: 'OUTCOME', description: 'Only allowed or refused ones.' },
    resource: { value: 'RESOURCE', description: 'Only about this resource, by name, identifier or id.' },
    jti: { value: 'JTI', description: 'Only about this token.' },
    since: { value: 'TIME', description: 'Only from this time on, such as 2030-01-31T12:00:00Z.' },
    until: { value: 'TIME', description: 'Only before this time.' },
    limit: { value: 'NUMBER', description: 'How many at most (default 50).' },
  },
  examples: [
    { command: 'bailiwick events list --outcome refused', does: 'What was refused lately' },
    { command: 'bailiwick events list --agent desk', does: 'What desk did, who stopped it, and why' },
    { command: 'bailiwick events list --by desk --json --limit 1000 | jq .type', does: 'For a program' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const most = options.limit === undefined ? 50 : wholeNumber('--limit', options.limit);
    const items = await api.list<Event>(
      '/events',
      {
        about: options.agent === undefined ? undefined : (await findAgent(api, options.agent)).id,
        agent: options.by === undefined ? undefined : (await findAgent(api, options.by)).id,
        owner: options.owner === undefined ? undefined : (await findOwner(api, options.owner)).id,
        type: options.type,
        outcome: options.outcome,
        resource: options.resource === undefined ? undefined : await identifierOf(api, options.resource),
        jti: options.jti,
        since: options.since,
        until: options.until,
      },
      most,
    );
    if (context.globals.json) {
      for (const event of items) context.io.out(`${JSON.stringify(event)}\n`);
      return;
    }
    const nameOf = namer(
      await api.list<Agent>('/agents'),
      await api.list<Resource>('/resources'),
      await api.list<Role>('/roles'),
      await api.list<Team>('/teams'),
    );
    const text = table(
      context,
      items,
      [
        { title: 'AT', value: ({ at }) => shortTime(at), whole: true },
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

/** Why it was refused, or what somebody gave as the reason: that is personal, and may have been erased. */
export const reasonOf = ({ reason, personal }: Event): string => reason ?? personal.details?.reason ?? '';

export const eventCommands = [list];

/** The log names resources by identifier. @throws CliError (not_found) */
async function identifierOf(api: Api, text: string): Promise<string> {
  try {
    return (await findResource(api, text)).identifier;
  } catch (error) {
    // who may read the log and no resources has to know the identifier
    if (error instanceof CliError && error.reason === 'refused' && text.includes('://')) return text;
    throw error;
  }
}
