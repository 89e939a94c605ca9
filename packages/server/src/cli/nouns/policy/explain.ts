/** Who may do this and why not. */
import { type Api, openApi } from '../../api.ts';
import { command } from '../../command.ts';
import { CliError, exitCodes } from '../../errors.ts';
import { findAgent, findResource } from '../../names.ts';
import { show } from '../../output.ts';
import type { Event } from '../../registry.ts';
import { instant, wholeNumber } from '../../values.ts';
import {
  type AboutAgent,
  type AboutAll,
  type AboutEvent,
  agentDescribed,
  allDescribed,
  eventDescribed,
} from './explained.ts';

export const explain = command({
  name: 'policy explain',
  summary: 'Say who may do something and why not; or why something was decided.',
  description:
    'With an agent it goes layer by layer: alive, resource, binding, roles, task, place, policies. Without one it lists who may and who may not. ' +
    'With --last, --event or --token it asks about what was decided: by the policies of that time, and by those of today.\n' +
    'Nothing is issued, and nobody notices. It ends with 0 whatever the answer is.',
  arguments: [{ name: 'agent', optional: true, description: 'The name or id of an agent.' }],
  options: {
    resource: { value: 'RESOURCE', description: 'What would be asked for: name, identifier or id.' },
    scope: {
      value: 'SCOPE',
      many: true,
      description:
        'With these scopes, with commas between them. Without: what the task names, or what the agent asks for by default.',
    },
    operation: { value: 'OPERATION', description: 'To do this: an operation or tool of the resource, by its name.' },
    workflow: { value: 'NAME', description: 'At a task of this workflow, as if an orchestrator had opened it.' },
    step: { value: 'NAME', description: 'At this step of it.' },
    'task-environment': { value: 'NAME', description: 'For this environment.' },
    declared: { description: 'As if the agent had said so of itself.' },
    task: { value: 'ID', description: 'At this very task.' },
    address: { value: 'ADDRESS', description: 'From this address.' },
    at: { value: 'TIME', description: 'At this time, such as 2030-01-31T02:00:00Z, or in so long: 8h.' },
    binding: { value: 'BINDING', description: 'Bound by dpop (default), mtls, dpop+mtls, or none.' },
    'proof-age': { value: 'SECONDS', description: 'With a proof that is so old.' },
    event: { value: 'ID', description: 'About this event of the log.' },
    token: { value: 'JTI', description: 'About the token of this `jti`.' },
    last: { description: 'About the last token that the agent asked for, whether it got it or not.' },
    all: { description: 'Without an agent: list those who may not, too.' },
  },
  examples: [
    { command: 'bailiwick policy explain desk --resource tickets --scope tickets:write', does: 'May desk do this?' },
    {
      command: 'bailiwick policy explain desk --resource crm --operation export --at 2030-01-31T02:00:00Z',
      does: 'And at night?',
    },
    { command: 'bailiwick policy explain --resource tickets --scope tickets:write', does: 'Who may?' },
    { command: 'bailiwick policy explain desk --last', does: 'Why was it refused just now? Would it be still?' },
    { command: 'bailiwick policy explain --event evt_01jd…', does: 'The same of anything that the log tells' },
  ],
  async run(context, [agentName], options) {
    const api = openApi(context);
    const { token, last } = options;
    if (last && agentName === undefined) throw new CliError('usage', '--last is about an agent: name it.');
    const event = last ? await lastAsked(api, agentName ?? '') : options.event;
    if (event !== undefined || token !== undefined) {
      if ((agentName !== undefined && !last) || options.resource !== undefined) {
        throw new CliError('usage', 'What was decided names its agent and resource itself: leave them out.');
      }
      const about = await api.ask<AboutEvent>('/policies/explain', { event, jti: token });
      show(context, about, () => eventDescribed(context, about));
      return exitCodes.ok.code;
    }
    if (options.resource === undefined) {
      throw new CliError(
        'usage',
        'Name what would be asked for (--resource), or what was decided (--event, --token).',
        {
          hint: 'See `bailiwick policy explain --help`.',
        },
      );
    }
    const question = {
      resource: (await findResource(api, options.resource)).id,
      operation: options.operation,
      scope: scopesOf(options.scope),
      task: taskOf(options),
      address: options.address,
      at: instant('--at', options.at, context.io.now()),
      binding: options.binding,
      proof_age:
        options['proof-age'] === undefined ? undefined : wholeNumber('--proof-age', options['proof-age'], { least: 0 }),
    };
    if (agentName === undefined) {
      const about = await everybody(api, question);
      show(context, about, () => allDescribed(context, about, options.all));
      return exitCodes.ok.code;
    }
    const agent = (await findAgent(api, agentName)).id;
    const about = await api.ask<AboutAgent>('/policies/explain', { agent, ...question });
    show(context, about, () => agentDescribed(context, about));
    return exitCodes.ok.code;
  },
});

/** Id of the event that tells of the last token that an agent asked for. @throws CliError (not_found) */
async function lastAsked(api: Api, name: string): Promise<string> {
  const agent = (await findAgent(api, name)).id;
  const found: Event[] = [];
  for (const type of ['token.issued', 'token.refused']) {
    found.push(...(await api.list<Event>('/events', { agent, type }, 1)));
  }
  const [newest] = found.toSorted((a, b) => (a.id < b.id ? 1 : -1));
  if (newest) return newest.id;
  throw new CliError('not_found', `The log tells of no token that ${name} asked for.`);
}

/** As `token --scope` takes them: with commas or spaces between them. */
function scopesOf(given: readonly string[]): string[] | undefined {
  const scopes = given.flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== '');
  return scopes.length === 0 ? undefined : [...new Set(scopes)];
}

function taskOf(options: {
  task: string | undefined;
  workflow: string | undefined;
  step: string | undefined;
  'task-environment': string | undefined;
  declared: boolean;
}) {
  const { task, workflow, step, declared } = options;
  const environment = options['task-environment'];
  if (task !== undefined) {
    if (workflow === undefined && step === undefined && environment === undefined && !declared) return task;
    throw new CliError('usage', '--task names a task that there is: it says the rest itself.');
  }
  if (workflow === undefined) {
    if (step === undefined && environment === undefined && !declared) return undefined;
    throw new CliError('usage', 'Name the workflow of the task: --workflow NAME.');
  }
  return { workflow, step, environment, provenance: declared ? 'declared' : 'orchestrated' };
}

async function everybody(api: Api, question: object): Promise<AboutAll> {
  const items: AboutAll['items'] = [];
  let cursor: string | undefined;
  for (;;) {
    const page: AboutAll & { next_cursor?: string } = await api.ask('/policies/explain', {
      ...question,
      limit: 200,
      cursor,
    });
    items.push(...page.items);
    cursor = page.next_cursor;
    if (cursor === undefined) return { as_of: page.as_of, items };
  }
}
