/** Who would gain and who would lose, had these policies decided what was decided lately. */
import { type Api, openApi } from '../../api.ts';
import { type Context, command } from '../../command.ts';
import { CliError } from '../../errors.ts';
import { painter, printable, shortTime, show, span, table } from '../../output.ts';
import { duration, wholeNumber } from '../../values.ts';
import { mustBeRight, readDocuments } from './documents.ts';

/** Decisions that were alike, as the server tells them. */
interface Difference {
  change: 'gains' | 'loses' | 'limits' | 'differs';
  agent?: string;
  name: string;
  action: string;
  resource: string;
  before: string;
  after: string;
  by: string[];
  count: number;
  first: string;
  last: string;
}

interface Page {
  replayed: number;
  erased: number;
  not_asked: number;
  reached?: string;
  differences: Difference[];
  next_cursor?: string;
}

interface Total {
  since: string;
  replayed: number;
  erased: number;
  not_asked: number;
  /** False where it stopped at --most. */
  complete: boolean;
  reached: string | undefined;
  differences: Difference[];
}

const pageSize = 1000;

export const simulate = command({
  name: 'policy simulate',
  summary: 'Ask drafts what they would have decided lately: who would gain, and who would lose.',
  description:
    'Every decision that is in the log is asked again, of the policies that decide now and of the same with these files in place. Nothing is ' +
    'saved. Files count as enforced, whatever their mode on the server is.\n' +
    'It ends with 0 whatever it finds; `--json` has the counts for a pipeline to look at.',
  arguments: [{ name: 'file', many: true, optional: true, description: 'Drafts: files or folders of them.' }],
  options: {
    since: { value: 'SPAN', description: 'How far back: 90s, 10m, 1h, 7d (default 1d), or a time.' },
    remove: { value: 'POLICY', many: true, description: 'As if this policy were removed.' },
    most: { value: 'NUMBER', description: 'Stop after so many events (default 100000).' },
  },
  examples: [
    {
      command: 'bailiwick policy simulate --since 7d read-only.cedar',
      does: 'Whom it would have refused within a week',
    },
    { command: 'bailiwick policy simulate --remove night', does: 'Who could do more without it' },
  ],
  async run(context, [paths], options) {
    const documents = readDocuments(context, paths);
    if (documents.length + options.remove.length === 0) {
      throw new CliError('usage', 'Name drafts (files), or policies to be without (--remove).', {
        hint: 'See `bailiwick policy simulate --help`.',
      });
    }
    await mustBeRight(documents);
    const since = sinceOf(context, options.since);
    const most = options.most === undefined ? 100_000 : wholeNumber('--most', options.most, { most: 10_000_000 });
    const drafts = [
      ...documents.map(({ name, text }) => ({ name, text, mode: 'enforce' })),
      ...options.remove.map((name) => ({ name, remove: true })),
    ];
    const total = await replayed(context, openApi(context), { drafts, since, most });
    show(context, total, () => described(context, total));
  },
});

function sinceOf({ io }: Context, text = '1d'): string {
  if (/^\d+[a-z]$/i.test(text)) return new Date(io.now() - duration('--since', text)).toISOString();
  const at = Date.parse(text);
  if (!Number.isNaN(at)) return new Date(at).toISOString();
  throw new CliError(
    'usage',
    `--since "${text}" isn't understood: it reads 90s, 10m, 1h, 7d, or 2030-01-31T12:00:00Z.`,
  );
}

/** Page after page; on a terminal it tells how far it is. */
async function replayed(
  { io, globals }: Context,
  api: Api,
  { drafts, since, most }: { drafts: readonly object[]; since: string; most: number },
): Promise<Total> {
  const groups = new Map<string, Difference>();
  const total: Total = {
    since,
    replayed: 0,
    erased: 0,
    not_asked: 0,
    complete: true,
    reached: undefined,
    differences: [],
  };
  let cursor: string | undefined;
  for (;;) {
    const seen = total.replayed + total.erased + total.not_asked;
    if (seen >= most) {
      total.complete = false;
      break;
    }
    const limit = Math.min(pageSize, most - seen);
    const page = await api.ask<Page>('/policies/simulate', { drafts, since, limit, cursor });
    total.replayed += page.replayed;
    total.erased += page.erased;
    total.not_asked += page.not_asked;
    total.reached = page.reached ?? total.reached;
    for (const one of page.differences) add(groups, one);
    cursor = page.next_cursor;
    if (cursor === undefined) break;
    if (io.columns !== undefined && !globals.json) {
      io.err(`\r${total.replayed} decisions, back to ${shortTime(total.reached)} …`);
    }
  }
  if (io.columns !== undefined && !globals.json && total.replayed > pageSize) io.err('\r\u001b[K');
  const order = ['loses', 'gains', 'limits', 'differs'];
  total.differences = [...groups.values()].toSorted(
    (a, b) => order.indexOf(a.change) - order.indexOf(b.change) || b.count - a.count || (a.name < b.name ? -1 : 1),
  );
  return total;
}

function add(groups: Map<string, Difference>, one: Difference): void {
  const { count: _, first, last, ...alike } = one;
  const key = JSON.stringify(Object.entries(alike).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const known = groups.get(key);
  if (known === undefined) {
    groups.set(key, { ...one });
    return;
  }
  known.count += one.count;
  if (first < known.first) known.first = first;
  if (last > known.last) known.last = last;
}

const titles: Readonly<Record<Difference['change'], string>> = {
  loses: 'Would be refused what is allowed now',
  gains: 'Would be allowed what is refused now',
  limits: 'Would be allowed as now, with other limits',
  differs: 'Would be refused as now, in another way',
};
const styles = { loses: 'red', gains: 'green', limits: 'yellow', differs: 'yellow' } as const;

function described(context: Context, total: Total): string {
  const paint = painter(context.io);
  const parts: string[] = [];
  for (const change of ['loses', 'gains', 'limits', 'differs'] as const) {
    const rows = total.differences.filter((one) => one.change === change);
    if (rows.length === 0) continue;
    const rowsShown = table(
      context,
      rows,
      [
        { title: 'WHO', value: ({ name }) => name },
        { title: 'WHAT', value: ({ action }) => action },
        { title: 'ON', value: ({ resource }) => resource },
        { title: 'TIMES', value: ({ count }) => String(count) },
        { title: 'LAST', value: ({ last }) => shortTime(last), whole: true },
        { title: 'BY', value: byWords },
      ],
      '',
    );
    const count = rows.reduce((sum, one) => sum + one.count, 0);
    parts.push(`${paint(styles[change], `${titles[change]} (${count})`)}\n${rowsShown}`);
  }
  if (parts.length === 0) parts.push('Nothing would have been decided otherwise.');
  return `${parts.join('\n\n')}\n\n${printable(summaryOf(context, total))}`;
}

function byWords({ by, after }: Difference): string {
  if (by.length > 0) return `${by.join(', ')}${after === 'step_up' ? ' (not yet)' : ''}`;
  return 'nothing permits it';
}

function summaryOf({ io }: Context, total: Total): string {
  const { replayed: count, erased, not_asked, complete, reached, since } = total;
  const back = span(io.now() - Date.parse(complete ? since : (reached ?? since)));
  const first = `${count} ${count === 1 ? 'decision' : 'decisions'} of the last ${back} asked again.`;
  const without = [
    ...(erased > 0 ? [`${erased} could not be, since their people were erased`] : []),
    ...(not_asked > 0 ? [`${not_asked} were no policy's to decide`] : []),
  ];
  const rest = without.length === 0 ? '' : ` ${without.join('; ')}.`;
  const stopped = complete ? '' : ` It stopped there: --most ${count + erased + not_asked} was reached.`;
  return `${first}${rest}${stopped}`;
}
