/** Where the log goes beside staying in the server. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Api, openApi } from '../api.ts';
import { type Context, command, type OptionValues, yes } from '../command.ts';
import { CliError, exitCodes } from '../errors.ts';
import { confirm } from '../io.ts';
import { fields, printable, shortTime, show, table } from '../output.ts';
import type { Exporter } from '../registry.ts';
import { pair, wholeNumber } from '../values.ts';

const argument = { name: 'exporter', description: 'The name or id of an exporter.' } as const;

const targetOptions = {
  file: { description: 'Into files under exports.directory of the server.' },
  syslog: {
    value: 'HOST[:PORT]',
    description: 'To a syslog server over TLS (RFC 5424, RFC 5425); port 6514 unless said.',
  },
  webhook: { value: 'URL', description: 'By POST, signed (Standard Webhooks).' },
  otlp: { value: 'URL', description: 'To an OpenTelemetry collector, such as https://otel.example.com/v1/logs.' },
  format: { value: 'FORMAT', description: 'jsonl (default), ocsf, or cef (files only).' },
  'max-bytes': { value: 'NUMBER', description: 'A file that would grow beyond it is followed by another.' },
  ca: { value: 'FILE', description: 'PEM: who vouches for the syslog server, instead of the Web’s authorities.' },
  certificate: { value: 'FILE', description: 'PEM: what we show to the syslog server, with --key.' },
  key: { value: 'FILE', description: 'PEM: the private key of --certificate.' },
  'enterprise-number': { value: 'NUMBER', description: 'Under which structured data of syslog stands.' },
  'secret-file': { value: 'FILE', description: 'The webhook’s signing secret (whsec_…), if it must be a certain one.' },
  'headers-file': {
    value: 'FILE',
    description: 'Headers for the collector, one NAME=VALUE in each line. They are secret.',
  },
} as const;

const filterOptions = {
  type: { value: 'TYPE', many: true, description: 'Only events of this type. Can be given several times.' },
  outcome: { value: 'OUTCOME', description: 'Only allowed or refused ones.' },
  personal: { description: 'Also what is personal, in plain text. What has left can not be erased any more.' },
} as const;

const list = command({
  name: 'exports list',
  summary: 'List exporters of the log, and how far they are.',
  examples: [{ command: 'bailiwick exports list', does: 'All of them' }],
  async run(context) {
    const items = await openApi(context).list<Exporter>('/exporters');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'TO', value: whereTo },
          {
            title: 'STATE',
            value: ({ status }) => status.state,
            style: ({ status }) => (status.state === 'current' ? 'green' : 'yellow'),
          },
          { title: 'DELIVERED', value: ({ status }) => String(status.delivered) },
          { title: 'LAG', value: ({ status }) => (status.lag === undefined ? '' : String(status.lag)) },
          { title: 'DEAD', value: ({ status }) => String(status.dead_letters) },
          { title: 'FAULT', value: ({ status }) => status.last_error ?? '' },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'The log is exported nowhere. `bailiwick exports create --help` shows how.',
      ),
    );
  },
});

const showOne = command({
  name: 'exports show',
  summary: 'Show an exporter: where and what it sends, how far it is, and what went wrong last.',
  arguments: [argument],
  examples: [{ command: 'bailiwick exports show siem', does: 'Is it keeping up?' }],
  async run(context, [name]) {
    showExporter(context, await findExporter(openApi(context), name));
  },
});

const create = command({
  name: 'exports create',
  summary: 'Export the log: to files, a syslog server, a webhook or an OpenTelemetry collector.',
  description:
    'Each event arrives in order and at least once, repeated at most with the same id. What is personal stays here unless you say --personal.',
  arguments: [{ name: 'name', description: 'Its name: lowercase letters, digits, dots, hyphens.' }],
  options: {
    ...targetOptions,
    ...filterOptions,
    'from-start': { description: 'Begin with all that the log has, instead of with what comes from now on.' },
    'all-organizations': { description: 'The events of all organizations; needs organizations:any.' },
    yes,
  },
  examples: [
    {
      command: 'bailiwick exports create siem --webhook https://siem.example.com/bailiwick --format ocsf',
      does: 'Signed batches; the secret is shown once',
    },
    { command: 'bailiwick exports create archive --file --from-start', does: 'Everything, as JSON lines' },
    {
      command: 'bailiwick exports create soc --syslog logs.example.com --ca soc.pem --outcome refused',
      does: 'Refusals, over TLS',
    },
  ],
  async run(context, [name], options) {
    const target = targetOf(context, options);
    if (target === undefined) {
      throw new CliError('usage', 'Say where to: --file, --syslog, --webhook or --otlp.', {
        hint: 'See `bailiwick exports create --help`.',
      });
    }
    if (options.personal) await confirmPersonal(context, options.yes);
    const made = await openApi(context).create<Exporter & { secret?: string }>('/exporters', {
      name,
      target,
      ...filterOf(options),
      personal: options.personal,
      from: options['from-start'] ? 'start' : 'now',
      all_organizations: options['all-organizations'],
    });
    show(context, made, () => {
      const from = options['from-start'] ? 'from its first event' : 'from now on';
      const first = `The log goes to ${whereTo(made)}, ${from} (${made.id}).`;
      const secret =
        made.secret === undefined
          ? ''
          : `\nIts messages are signed with this secret, which is shown once: ${made.secret}`;
      return `${first}${secret}\n\`bailiwick exports test ${made.name}\` shows whether it arrives.`;
    });
  },
});

const update = command({
  name: 'exports update',
  summary: 'Change where and what an exporter sends. It goes on where it stands.',
  arguments: [argument],
  options: {
    ...targetOptions,
    ...filterOptions,
    'no-personal': { description: 'Send nothing personal any more.' },
    'all-types': { description: 'Send events of every type.' },
    'any-outcome': { description: 'Send allowed and refused ones.' },
    yes,
  },
  examples: [{ command: 'bailiwick exports update siem --no-personal', does: 'Names and addresses stay here again' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const target = targetOf(context, options);
    const body = {
      ...(target && { target }),
      ...filterOf(options),
      ...(options['all-types'] && { types: null }),
      ...(options['any-outcome'] && { outcome: null }),
      ...(options.personal && { personal: true }),
      ...(options['no-personal'] && { personal: false }),
    };
    if (Object.keys(body).length === 0) {
      throw new CliError('usage', 'Nothing to change was named.', { hint: 'See `bailiwick exports update --help`.' });
    }
    const { id, personal } = await findExporter(api, name);
    if (options.personal && !personal) await confirmPersonal(context, options.yes);
    showExporter(context, await api.patch<Exporter>(`/exporters/${id}`, body));
  },
});

const remove = command({
  name: 'exports remove',
  summary: 'Export there no more. What was delivered stays there.',
  arguments: [argument],
  options: { yes },
  examples: [{ command: 'bailiwick exports remove siem --yes', does: 'Without being asked' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const exporter = await findExporter(api, name);
    const letters = exporter.status.dead_letters;
    const lost = letters > 0 ? ` Its dead letters (${letters}) are forgotten; the log keeps the events.` : '';
    await confirm(context.io, `The log goes to ${whereTo(exporter)} no more.${lost}`, options.yes);
    await api.post(`/exporters/${exporter.id}/remove`);
    show(context, { id: exporter.id }, () => `The log goes to ${whereTo(exporter)} no more.`);
  },
});

const test = command({
  name: 'exports test',
  summary: 'Deliver the newest event now, once more, and say whether it arrived.',
  arguments: [argument],
  examples: [{ command: 'bailiwick exports test siem', does: 'It ends with 1 if it did not arrive' }],
  async run(context, [name]) {
    const api = openApi(context);
    const exporter = await findExporter(api, name);
    const result = await api.post<{ delivered?: string; fault?: string }>(`/exporters/${exporter.id}/test`, {});
    show(context, result, () =>
      result.fault === undefined
        ? `${whereTo(exporter)} has taken ${result.delivered}.`
        : `Nothing was delivered to ${whereTo(exporter)}: ${printable(result.fault)}.`,
    );
    return result.fault === undefined ? exitCodes.ok.code : exitCodes.failed.code;
  },
});

const retry = command({
  name: 'exports retry',
  summary: 'Deliver dead letters once more: events that the target has refused for good.',
  arguments: [argument],
  examples: [{ command: 'bailiwick exports retry siem', does: 'After the receiver was mended' }],
  async run(context, [name]) {
    const api = openApi(context);
    const exporter = await findExporter(api, name);
    await api.post(`/exporters/${exporter.id}/dead-letters/retry`);
    show(
      context,
      { id: exporter.id },
      () => `They are tried within some seconds; \`bailiwick exports show ${exporter.name}\` says what is left.`,
    );
  },
});

export const exportCommands = [list, showOne, create, update, remove, test, retry];

async function findExporter(api: Api, text: string): Promise<Exporter> {
  const items = await api.list<Exporter>('/exporters');
  const found = items.find(({ id, name }) => id === text || name === text);
  if (found) return found;
  throw new CliError('not_found', `There is no exporter ${printable(text)} here.`, {
    hint: '`bailiwick exports list` shows all of them.',
  });
}

const confirmPersonal = ({ io }: Context, isMeant: boolean): Promise<void> =>
  confirm(io, 'What is personal goes out in plain text. What has left can’t be erased from here any more.', isMeant);

function whereTo({ id, target }: Exporter): string {
  if (target.kind === 'file') return `files in exports.directory, folder ${id}`;
  return target.kind === 'syslog' ? `${target.host}:${target.port}` : new URL(target.url ?? '').host;
}

function targetOf(context: Context, options: OptionValues<typeof targetOptions>) {
  const kinds = (['file', 'syslog', 'webhook', 'otlp'] as const).filter((kind) => options[kind]);
  if (kinds.length > 1) throw new CliError('usage', `It goes to one place: --${kinds.join(' or --')}.`);
  const format = options.format === undefined ? {} : { format: options.format };
  const read = (name: 'ca' | 'certificate' | 'key' | 'secret-file' | 'headers-file') => {
    const file = options[name];
    return file === undefined ? undefined : contentOf(context, `--${name}`, file);
  };
  const number = (name: 'max-bytes' | 'enterprise-number') => {
    const text = options[name];
    return text === undefined ? undefined : wholeNumber(`--${name}`, text, { most: Number.MAX_SAFE_INTEGER });
  };
  switch (kinds[0]) {
    case 'file':
      return { kind: 'file', ...format, max_bytes: number('max-bytes') };
    case 'syslog': {
      const { host, port } = hostAndPort(options.syslog ?? '');
      const shown = { ca: read('ca'), certificate: read('certificate'), key: read('key') };
      return { kind: 'syslog', host, port, ...shown, enterprise_number: number('enterprise-number') };
    }
    case 'webhook':
      return { kind: 'webhook', url: options.webhook, ...format, secret: read('secret-file')?.trim() };
    case 'otlp':
      return { kind: 'otlp', url: options.otlp, headers: headersIn(read('headers-file')) };
    default:
      return undefined;
  }
}

function hostAndPort(text: string): { host: string; port?: number } {
  const found = /^\[?([^\]]*?)\]?(?::(\d{1,5}))?$/.exec(text);
  const [, host = text, port] = found ?? [];
  return port === undefined ? { host } : { host, port: Number(port) };
}

function headersIn(content: string | undefined): Record<string, string> | undefined {
  if (content === undefined) return undefined;
  const lines = content.split('\n').filter((line) => line.trim() !== '');
  return Object.fromEntries(lines.map((line) => pair('--headers-file', line.trim(), 'NAME=VALUE')));
}

const filterOf = ({ type, outcome }: OptionValues<typeof filterOptions>) => ({
  ...(type.length > 0 && { types: type }),
  ...(outcome !== undefined && { outcome }),
});

/** @throws CliError (usage) that names the file */
function contentOf({ io }: Context, option: string, file: string): string {
  try {
    return readFileSync(path.resolve(io.cwd, file), 'utf8');
  } catch (error) {
    throw new CliError('usage', `${option}: ${file} can't be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}

function showExporter(context: Context, exporter: Exporter): void {
  const { status, target } = exporter;
  show(context, exporter, () =>
    fields(context, [
      ['name', exporter.name],
      ['id', exporter.id],
      ['of', exporter.organization ?? 'all organizations'],
      ['to', `${target.kind}: ${target.url ?? whereTo(exporter)}`],
      ['format', target.format],
      ['types', exporter.types?.join(' ')],
      ['outcome', exporter.outcome],
      ['personal', exporter.personal ? 'goes out in plain text' : 'stays here'],
      ['state', status.state],
      ['delivered', `${status.delivered}${status.delivered_at ? `, last ${shortTime(status.delivered_at)}` : ''}`],
      ['position', status.lag === undefined ? undefined : `${status.position}, ${status.lag} behind the log`],
      ['waiting since', shortTime(status.waiting_since) || undefined],
      ['failures', status.failures > 0 ? `${status.failures} in a row` : undefined],
      [
        'last fault',
        status.last_error === undefined
          ? undefined
          : `${printable(status.last_error)} (${shortTime(status.last_error_at)})`,
      ],
      ['dead letters', status.dead_letters > 0 ? String(status.dead_letters) : undefined],
    ]),
  );
}
