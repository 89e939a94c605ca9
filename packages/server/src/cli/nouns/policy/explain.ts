/** Who may do this and why not. */
import { type Api, openApi } from '../../api.ts';
import { type Context, command } from '../../command.ts';
import { CliError, exitCodes } from '../../errors.ts';
import { findAgent, findResource } from '../../names.ts';
import { painter, printable, type Style, shortTime, show, table } from '../../output.ts';
import type { Event } from '../../registry.ts';
import { instant, wholeNumber } from '../../values.ts';

interface Statement {
  policy: string;
  action: string;
  effect: string;
  mode: string;
  outcome: 'satisfied' | 'not_satisfied' | 'error' | 'out_of_scope';
  because?: string;
  message?: string;
  reason?: string;
}

interface Said {
  decision: 'allow' | 'deny' | 'step_up';
  says: string;
  statements: Statement[];
  requirements: ({ type: string } & Record<string, unknown>)[];
  limits: { context?: object; lifetime_seconds?: number };
}

interface AboutAgent extends Said {
  about: 'agent';
  agent: { id: string; name: string };
  layers: { layer: string; decision: Said['decision']; says: string }[];
}

interface OneOfAll {
  agent: { id: string; name: string };
  decision: Said['decision'];
  says: string;
}

interface AboutEvent {
  about: 'event';
  event: { id: string; at: string; type: string; outcome: string; reason?: string };
  asked: boolean;
  says: string;
  at_the_time?: Said & { revision: number };
  now?: Said & { revision: number };
  differs?: boolean;
}

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
    scope: { value: 'SCOPE', many: true, description: 'With this scope. Without: what the agent asks for by default.' },
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
      scope: options.scope.length === 0 ? undefined : options.scope,
      task: taskOf(options),
      address: options.address,
      at: instant('--at', options.at, context.io.now()),
      binding: options.binding,
      proof_age:
        options['proof-age'] === undefined ? undefined : wholeNumber('--proof-age', options['proof-age'], { least: 0 }),
    };
    if (agentName === undefined) {
      const items = await everybody(api, question);
      show(context, { items }, () => allDescribed(context, items, options.all));
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

async function everybody(api: Api, question: object): Promise<OneOfAll[]> {
  const items: OneOfAll[] = [];
  let cursor: string | undefined;
  do {
    const page = await api.ask<{ items: OneOfAll[]; next_cursor?: string }>('/policies/explain', {
      ...question,
      limit: 200,
      cursor,
    });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== undefined);
  return items;
}

const words = { allow: 'yes', deny: 'no', step_up: 'not yet' } as const;
const styles: Readonly<Record<Said['decision'], Style>> = { allow: 'green', deny: 'red', step_up: 'yellow' };

function agentDescribed(context: Context, about: AboutAgent): string {
  const paint = painter(context.io);
  const { agent, decision, layers, says } = about;
  const width = Math.max(...layers.map(({ layer }) => layer.length));
  const head = `${printable(agent.name)}: ${paint(styles[decision], words[decision])}`;
  return [
    decision === 'allow' ? head : `${head}. ${printable(says)}`,
    '',
    ...layers.map(
      (one) =>
        `  ${one.layer.padEnd(width)}  ${paint(styles[one.decision], words[one.decision].padEnd(7))}  ${printable(one.says)}`,
    ),
    ...saidLines(context, about),
  ].join('\n');
}

/** Statements that had a say, how many had none, and what follows. */
function saidLines(context: Context, { statements, requirements, limits }: Said): string[] {
  const paint = painter(context.io);
  const told = statements.filter(({ outcome }) => outcome === 'satisfied' || outcome === 'error');
  const lines = told.flatMap(({ policy, action, effect, mode, outcome, message, reason }) => {
    const observed = mode === 'observe' ? ', observed only' : '';
    const what = outcome === 'error' ? `could not be evaluated: ${message}` : `${effect}s ${action}${observed}`;
    const style = effect === 'permit' && outcome === 'satisfied' ? 'green' : mode === 'observe' ? 'yellow' : 'red';
    const line = `  ${paint(style, printable(policy))}  ${printable(what)}`;
    return reason === undefined ? [line] : [line, `    ${printable(reason)}`];
  });
  const others = statements.length - told.length;
  const counted =
    others === 0
      ? []
      : [`  ${others} other ${others === 1 ? 'statement has' : 'statements have'} no say in it (--json lists them).`];
  const wanted = requirements.map((one) => `  It would take ${requirementWords(one)}.`);
  const { context: place, lifetime_seconds } = limits;
  const narrowed = [
    ...(place === undefined ? [] : [`  Its token would be limited to ${JSON.stringify(place)}.`]),
    ...(lifetime_seconds === undefined ? [] : [`  Its token would live for at most ${lifetime_seconds} seconds.`]),
  ];
  const all = [...lines, ...counted, ...wanted, ...narrowed.map(printable)];
  return all.length === 0 ? [] : ['', 'Statements:', ...all];
}

function requirementWords({ type, ...rest }: { type: string } & Record<string, unknown>): string {
  switch (type) {
    case 'approval':
      return 'a human’s yes';
    case 'fresh_proof':
      return `a proof that is at most ${rest.max_age} seconds old`;
    case 'narrower':
      return 'a request for less';
    case 'binding':
      return `a token that is bound by ${rest.binding}`;
    case 'task':
      return 'a task that an orchestrator has opened';
    default:
      return type;
  }
}

function allDescribed(context: Context, items: readonly OneOfAll[], all: boolean): string {
  const may = items.filter(({ decision }) => decision === 'allow');
  const rest = items.filter(({ decision }) => decision !== 'allow');
  const rows = all ? [...may, ...rest] : may;
  const shown = table(
    context,
    rows,
    [
      { title: 'AGENT', value: ({ agent }) => agent.name },
      { title: 'MAY', value: ({ decision }) => words[decision], style: ({ decision }) => styles[decision] },
      { title: 'WHY', value: ({ says }) => says },
      { title: 'ID', value: ({ agent }) => agent.id, whole: true },
    ],
    all ? 'There are no active agents.' : 'Nobody may.',
  );
  if (all || rest.length === 0) return shown;
  const reasons = new Map<string, number>();
  for (const { says } of rest) reasons.set(says, (reasons.get(says) ?? 0) + 1);
  const lines = [...reasons]
    .toSorted(([, a], [, b]) => b - a)
    .map(([says, number]) => `  ${String(number).padStart(5)}  ${printable(says)}`);
  return [shown, '', `${rest.length} may not (--all names them):`, ...lines].join('\n');
}

function eventDescribed(context: Context, about: AboutEvent): string {
  const paint = painter(context.io);
  const { event, says, at_the_time: then, now, differs } = about;
  const reason = event.reason === undefined ? '' : `: ${event.reason}`;
  const lines = [
    printable(`${event.type} at ${shortTime(event.at)}, ${event.outcome}${reason}`),
    paint(differs ? 'yellow' : 'dim', printable(says)),
  ];
  const part = (title: string, said: Said & { revision: number }) => [
    '',
    `${title} (revision ${said.revision}): ${paint(styles[said.decision], words[said.decision])}`,
    ...saidLines(context, said).slice(2),
  ];
  if (then) lines.push(...part('The policies of that time', then));
  if (now && (differs || !then)) lines.push(...part('The policies of today', now));
  return lines.join('\n');
}
