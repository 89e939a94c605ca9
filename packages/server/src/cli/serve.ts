import { existsSync } from 'node:fs';
import path from 'node:path';
import type { RunningServer } from '../app.ts';
import { type Config, type ConfigOverrides, loadConfig } from '../config.ts';
import { type Context, command } from './command.ts';
import { CliError } from './errors.ts';
import { issuerOfData } from './identity.ts';
import type { Io } from './io.ts';
import { fields, painter } from './output.ts';
import { sentence } from './sentence.ts';
import { wholeNumber } from './values.ts';

export const serve = command({
  name: 'serve',
  summary: 'Run the identity provider.',
  description:
    'Without anything said it listens on http://localhost:8455, on this machine alone, and keeps everything in ./data. The first start ' +
    'makes signing keys, the default organization, and the operator: an identity whose key is written once to <data>/operator.json. ' +
    'SIGTERM and Ctrl-C let requests finish and end with 0; a second one ends at once. Every setting: docs/reference/config.md.',
  options: {
    port: { value: 'PORT', description: 'The port to listen on (default 8455).' },
    host: { value: 'ADDRESS', many: true, description: 'An address to listen on (default: both loopbacks).' },
    data: { value: 'FOLDER', description: 'Where everything is kept (default ./data).' },
    issuer: { value: 'URL', description: 'The address by which others know this server.' },
  },
  examples: [
    { command: 'bailiwick serve', does: 'Run here, on this machine alone' },
    { command: 'bailiwick serve --port 9000 --data /var/lib/bailiwick', does: 'Elsewhere' },
    {
      command: 'BAILIWICK_DATABASE_URL=postgres://bailiwick@db/bailiwick bailiwick serve',
      does: 'On PostgreSQL',
    },
  ],
  async run(context, _args, options) {
    const { io, globals } = context;
    const overrides: ConfigOverrides = {
      port: options.port === undefined ? undefined : wholeNumber('--port', options.port, { least: 0, most: 65_535 }),
      host: options.host.length === 0 ? undefined : options.host.flatMap((host) => host.split(',')),
      data: options.data,
      issuer: options.issuer,
    };
    const config = loadConfig({ env: io.env, cwd: io.cwd, file: globals.config, overrides });
    // loaded here: no other command should wait for a server's code
    const [{ start }, { warmPolicies }] = [await import('../app.ts'), await import('../policy/policies.ts')];
    const terminated = io.terminated(); // listened for before there is anything to lose
    const before = issuerOfData(config.data);
    const server = await start(config).catch((error: unknown) => {
      throw notStarted(error, config);
    });
    const movedFrom = before === server.issuer || issuerOfData(config.data) !== server.issuer ? undefined : before;
    io.out(
      globals.json
        ? `${JSON.stringify(started(server, config, movedFrom))}\n`
        : `${banner(context, server, config, movedFrom)}\n`,
    );
    void warmPolicies(server.deps);
    await terminated;
    if (!globals.json) io.err('Ending: requests under way may finish. Once more ends at once.\n');
    await server.close();
  },
});

function started(server: RunningServer, config: Config, movedFrom: string | undefined) {
  return {
    issuer: server.issuer,
    moved_from: movedFrom,
    addresses: server.addresses,
    mtls: server.mtls && { url: server.mtls.url, addresses: server.mtls.addresses },
    data: config.data,
    database: databaseName(config),
    keys_encrypted: server.deps.encryption.encrypted,
    operator_file: server.operatorFile,
    first_start: server.firstStart,
  };
}

const databaseName = (config: Config) => (config.database_url === undefined ? 'SQLite' : 'PostgreSQL');

const encryptionWords = (encrypted: boolean) =>
  encrypted
    ? 'encrypted in the database'
    : 'not encrypted in the database: set key_encryption.file, then `keys rotate --all`';

function banner(context: Context, server: RunningServer, config: Config, movedFrom: string | undefined): string {
  const paint = painter(context.io);
  const { issuer } = server;
  const what = fields(context, [
    ['  issuer', issuer],
    ['  listens', server.addresses.join('  ')],
    ...(server.mtls ? [['  mutual TLS', server.mtls.addresses.join('  ')] as [string, string]] : []),
    ['  data', `${config.data} (${databaseName(config)})`],
    ['  private keys', encryptionWords(server.deps.encryption.encrypted)],
    ['  operator', `${server.operatorFile}${server.firstStart ? ': made just now, your key to everything' : ''}`],
  ]);
  const tool = programName(context.io);
  // from another folder, or with other settings, the command line has to be told whose key it may use
  const identity =
    server.operatorFile === path.join(context.io.cwd, 'data', 'operator.json')
      ? ''
      : ` --identity ${shellWord(server.operatorFile)}`;
  const next = server.firstStart
    ? ([
        [
          `${tool} resources create http://localhost:3000 --name hello --operation 'GET /hello hello:read low'${identity}`,
          'an API',
        ],
        [`${tool} roles create greeter --permission hello=hello:read${identity}`, 'a role: what it may do there'],
        [
          `${tool} agents create my-agent --owner operators --role greeter --resource hello --key-out agent.json${identity}`,
          'an agent that holds it',
        ],
        [`${tool} token --identity agent.json`, 'what it gets; `doctor` looks whether all is well'],
      ] as const)
    : ([
        [`${tool} doctor${identity}`, 'is everything as it should be?'],
        [`${tool} agents list${identity}`, 'what acts here'],
        [`${tool} events list${identity}`, 'what was decided'],
      ] as const);
  return [
    `${paint('bold', 'Bailiwick is running.')}`,
    '',
    what,
    '',
    ...(movedFrom === undefined ? [] : [...movedWords(movedFrom, issuer).map((text) => paint('yellow', text)), '']),
    'In another terminal:',
    '',
    ...next.map(([line, does]) => `  ${paint('dim', `# ${does}`)}\n  ${paint('bold', line)}`),
    '',
  ].join('\n');
}

const movedWords = (from: string, to: string) => [
  `The issuer has moved from ${from} to ${to}: tokens from before have ended.`,
  `Key files of agents and guards that name ${from} must be made to name ${to}, as their "issuer".`,
  `operator.json does so already. To stay at ${from}, start there again.`,
];

/** How this program is called here: by its name where it is installed, through npx in a clone. */
function programName(io: Io): string {
  const folders = (io.env.PATH ?? '').split(path.delimiter).filter((folder) => !folder.includes('node_modules'));
  return folders.some((folder) => folder !== '' && existsSync(path.join(folder, 'bailiwick')))
    ? 'bailiwick'
    : 'npx bailiwick';
}

const shellWord = (text: string) => (/^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function notStarted(error: unknown, config: Config): unknown {
  const { code, path: file, message } = error as NodeJS.ErrnoException;
  if (typeof file === 'string') return error; // a file problem has its own words (run.ts)
  if (config.database_url !== undefined && /^(E[A-Z]+|28\w{3}|3D000)$/.test(code ?? '')) {
    return new CliError('failed', `The database that database_url names can't be opened (${message || code}).`, {
      hint: 'Check that PostgreSQL runs there, that the database exists, and that user and password are right.',
    });
  }
  return message ? new CliError('failed', sentence(message)) : error;
}
