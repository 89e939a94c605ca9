import { openApi } from '../api.ts';
import { type Context, command } from '../command.ts';
import { findAgent } from '../names.ts';
import { painter, printable, span } from '../output.ts';
import type { Event } from '../registry.ts';

interface Story {
  of: { kind: 'token' | 'task' | 'agent' | 'trace' | 'thing'; id: string };
  items: { at: string; says: string; count?: number; refused?: number; event?: Event }[];
  names: Record<string, string>;
  more: boolean;
}

const trace = command({
  name: 'trace',
  summary: 'Tell one story from first to last: of a token, a transaction, a task, an agent or a trace id.',
  description:
    'From registration, enrolment and task through tokens, decisions and uses to revocations and who acknowledged them, as it happened. ' +
    'Where there are many, like acts are one step with a count, and of a very long story the middle is counted without being read: turns in the life are told ' +
    'wherever they are. --since and --until look closer, --every tells each event by itself. With --json everything that is known of each step; with --otlp as OpenTelemetry spans (OTLP/JSON), ready for /v1/traces of a collector.',
  arguments: [
    {
      name: 'OF',
      description: 'A jti, a txn, the id of a task or of anything else, a name of an agent, or a W3C trace id.',
    },
  ],
  options: {
    since: {
      value: 'TIME',
      description: 'Only what it did, and what was done to it, from this time on, such as 2030-01-31T12:00:00Z.',
    },
    until: { value: 'TIME', description: 'The same, before this time.' },
    every: { description: 'Each event by itself, however many are alike: 1,000 from either end.' },
    otlp: { description: 'Write OpenTelemetry spans.' },
  },
  examples: [
    { command: 'bailiwick trace 01jd7x…', does: 'What was done with a token, and why it existed' },
    { command: 'bailiwick trace tsk_01jd7x…', does: 'All of a task' },
    { command: 'bailiwick trace 01jd7y…', does: 'What came of a call inside of the trust domain, by its txn' },
    { command: 'bailiwick trace desk', does: 'The life of an agent' },
    { command: 'bailiwick trace desk --every --since 2030-01-31T12:00:00Z', does: 'Each thing that it did since then' },
    { command: 'bailiwick trace tsk_01jd7x… --otlp > spans.json', does: 'For a collector' },
  ],
  async run(context, [given], { otlp, since, until, every }) {
    const api = openApi(context);
    const of = isAgentName(given) ? ((await agentId(api, given)) ?? given) : given;
    const { organization } = context.globals;
    const query = { of, since, until, every: every ? 'true' : undefined, organization };
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
  return (await api.may('agents:read')) ? (await findAgent(api, name)).id : undefined;
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
      `${items.length} steps${lasted > 0 ? ` in ${span(lasted)}` : ''}${more ? '; there is more than is told here: --since and --until look closer' : ''}`,
    ),
  ];
  if (items.some(({ count = 1 }) => count > 1))
    lines.push(paint('dim', 'What is alike is told together: --every tells each.'));
  let day = '';
  let before: number | undefined;
  for (const { at, says, event, count = 1, refused = event?.outcome === 'refused' ? 1 : 0 } of items) {
    if (at.slice(0, 10) !== day) {
      day = at.slice(0, 10);
      lines.push('', paint('bold', day));
      before = undefined;
    }
    const now = Date.parse(at);
    if (before !== undefined && now - before >= 10 * 60_000)
      lines.push(paint('dim', `              … ${span(now - before)} later`));
    before = now;
    const isRefused = refused === count;
    const mark = paint(isRefused ? 'red' : markOf(event?.type ?? ''), isRefused ? '✗' : '•');
    lines.push(
      `  ${paint('dim', at.slice(11, 23))}  ${mark} ${isRefused ? paint('red', printable(says)) : printable(says)}`,
    );
  }
  return lines.join('\n');
}

/** What gives power is green, what takes it away is yellow. */
const markOf = (type: string) =>
  /revo|ended|suspended|retired|withdrawn|acknowledged/.test(type) ? ('yellow' as const) : ('green' as const);

export const traceCommands = [trace];
