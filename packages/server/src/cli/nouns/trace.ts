import { openApi } from '../api.ts';
import { type Context, command } from '../command.ts';
import { CliError } from '../errors.ts';
import { findAgent } from '../names.ts';
import { painter, printable, span } from '../output.ts';
import type { Event } from '../registry.ts';

interface Story {
  of: { kind: 'token' | 'task' | 'agent' | 'trace' | 'thing'; id: string };
  items: { at: string; says: string; event: Event & { instance?: string } }[];
  names: Record<string, string>;
  more: boolean;
}

const trace = command({
  name: 'trace',
  summary: 'Tell one story from first to last: of a token, a task, an agent or a trace id.',
  description:
    'From registration, enrolment and task through tokens, decisions and uses to revocations and who acknowledged them, as it happened. ' +
    'With --json everything that is known of each step; with --otlp as OpenTelemetry spans (OTLP/JSON), ready for /v1/traces of a collector.',
  arguments: [
    { name: 'OF', description: 'A jti, the id of a task or of anything else, a name of an agent, or a W3C trace id.' },
  ],
  options: { otlp: { description: 'Write OpenTelemetry spans.' } },
  examples: [
    { command: 'bailiwick trace 01jd7x…', does: 'What was done with a token, and why it existed' },
    { command: 'bailiwick trace tsk_01jd7x…', does: 'All of a task' },
    { command: 'bailiwick trace desk', does: 'The life of an agent' },
    { command: 'bailiwick trace tsk_01jd7x… --otlp > spans.json', does: 'For a collector' },
  ],
  async run(context, [given], { otlp }) {
    const api = openApi(context);
    const of = isAgentName(given) ? ((await agentId(api, given)) ?? given) : given;
    const query = { of, organization: context.globals.organization };
    if (otlp) {
      context.io.out(`${JSON.stringify(await api.get('/trace/spans', query))}\n`);
      return;
    }
    const story = await api.get<Story>('/trace', query);
    if (context.globals.json) context.io.out(`${JSON.stringify(story)}\n`);
    else context.io.out(`${storyText(context, story)}\n`);
  },
});

/** A `jti` has the shape of an id without its beginning, a trace id is hexadecimal; names of agents are like neither, mostly. */
const isAgentName = (text: string) =>
  !/^[a-z]{3}_[0-9a-z]{26}$/.test(text) && !/^[0-9a-f]{32}$/.test(text) && !/^[0-9a-hjkmnp-tv-z]{26}$/.test(text);

async function agentId(api: ReturnType<typeof openApi>, name: string): Promise<string | undefined> {
  try {
    return (await findAgent(api, name)).id;
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return undefined;
    throw error;
  }
}

/** Days stand once, times of a day line up, what was refused stands out, and how long nothing happened is said. */
function storyText(context: Context, { of, items, names, more }: Story): string {
  const paint = painter(context.io);
  const [first] = items;
  const last = items.at(-1);
  const title = of.kind === 'thing' ? of.id : `${of.kind} ${names[of.id] ?? of.id}`;
  const lasted = first && last ? Date.parse(last.at) - Date.parse(first.at) : 0;
  const lines = [
    paint('bold', printable(`The story of ${title}`)),
    paint(
      'dim',
      `${items.length} steps${lasted > 0 ? ` in ${span(lasted)}` : ''}${more ? '; there is more than is told here' : ''}`,
    ),
  ];
  let day = '';
  let before: number | undefined;
  for (const { at, says, event } of items) {
    if (at.slice(0, 10) !== day) {
      day = at.slice(0, 10);
      lines.push('', paint('bold', day));
      before = undefined;
    }
    const now = Date.parse(at);
    if (before !== undefined && now - before >= 10 * 60_000)
      lines.push(paint('dim', `              … ${span(now - before)} later`));
    before = now;
    const refused = event.outcome === 'refused';
    const mark = paint(refused ? 'red' : markOf(event.type), refused ? '✗' : '•');
    lines.push(
      `  ${paint('dim', at.slice(11, 23))}  ${mark} ${refused ? paint('red', printable(says)) : printable(says)}`,
    );
  }
  return lines.join('\n');
}

/** What gives power is green, what takes it away is yellow. */
const markOf = (type: string) =>
  /revo|ended|suspended|retired|withdrawn|acknowledged/.test(type) ? ('yellow' as const) : ('green' as const);

export const traceCommands = [trace];
