/** How long the log keeps events. */
import { eventTypes } from '../../audit/event.ts';
import { didYouMeanHint } from '../../lib/did-you-mean.ts';
import { openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { show, table } from '../output.ts';
import { wholeNumber } from '../values.ts';

interface Retention {
  rules: Record<string, number | null>;
  kept: Record<string, number>;
}

const retention = command({
  name: 'log retention',
  summary: 'Show or say how long events are kept. Of what goes, the hash of its leaf stays.',
  arguments: [
    { name: 'show|set', description: '"show" what is not kept for ever, or "set" how long a type is kept.' },
    {
      name: 'type',
      description: 'With set: a type of event such as access.used, or "*" for all that have no rule of their own.',
      optional: true,
    },
  ],
  options: {
    days: { value: 'NUMBER', description: 'For so many days.' },
    forever: { description: 'For ever.' },
    default: { description: 'As the program has it.' },
    yes,
  },
  examples: [
    { command: 'bailiwick log retention show', does: 'What goes, and when' },
    { command: 'bailiwick log retention set access.used --days 90', does: 'Uses go after three months' },
    { command: "bailiwick log retention set '*' --forever", does: 'All that has no rule stays' },
  ],
  async run(context, [what, type], options) {
    const hint = 'See `bailiwick log retention --help`.';
    const api = openApi(context);
    if (what === 'show') return showRetention(context, await api.get<Retention>(pathOf(context)));
    if (what !== 'set' || type === undefined) throw new CliError('usage', 'Say show, or set and a type.', { hint });
    const said = [options.days !== undefined, options.forever, options.default].filter(Boolean).length;
    if (said !== 1) throw new CliError('usage', 'Say one of --days, --forever and --default.', { hint });
    if (type !== '*' && !(type in eventTypes)) {
      const known = Object.keys(eventTypes);
      throw new CliError('usage', `There is no type of event "${type}".${didYouMeanHint(type, known)}`, { hint });
    }
    const days = options.days === undefined ? null : wholeNumber('--days', options.days, { most: 36_500 });
    if (days !== null) {
      const whose = type === '*' ? 'every type without a rule' : type;
      await confirm(context.io, `Events of ${whose} that are older than ${days} days are removed.`, options.yes);
    }
    const body = { type, ...(!options.default && { days }) };
    showRetention(context, await api.put<Retention>(pathOf(context), body));
  },
});

const pathOf = ({ globals }: Context): string =>
  `/log/retention${globals.organization === undefined ? '' : `?organization=${encodeURIComponent(globals.organization)}`}`;

export const retentionCommands = [retention];

function showRetention(context: Context, retention: Retention): void {
  const { rules, kept } = retention;
  const others = rules['*'];
  const rows = Object.entries(kept)
    .map(([type, days]) => ({ type, days, rule: type in rules }))
    // what goes by the rule for all others is one row
    .filter(({ days, rule }) => rule || days !== others);
  if (typeof others === 'number') rows.unshift({ type: '*', days: others, rule: true });
  show(context, retention, () =>
    table(
      context,
      rows,
      [
        { title: 'TYPE', value: ({ type }) => type },
        { title: 'DAYS', value: ({ days }) => String(days) },
        {
          title: 'BY',
          value: ({ type, rule }) => (type === '*' ? 'the rule for all others' : rule ? 'its own rule' : 'default'),
        },
      ],
      'Everything is kept for ever.',
    ),
  );
}
