import { type Config, ConfigError } from '../../config.ts';
import { openApi } from '../api.ts';
import { type Context, command } from '../command.ts';
import { CliError, exitCodes } from '../errors.ts';
import { configOf, identityFile, movedHint, namedIdentity, readIdentity } from '../identity.ts';
import { painter, printable } from '../output.ts';
import { checkSecretsException } from './credentials.ts';
import { checkDrills } from './drills.ts';
import { checkEncryption, checkServerEncryption, isBesideData } from './encryption.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { checkData, checkDatabase, checkKeyFile, checkRuntime, checkTransport } from './local.ts';
import { checkRegistry } from './registry.ts';
import { checkServer } from './server.ts';
import { checkSignals } from './signals.ts';

export const doctor = command({
  name: 'doctor',
  summary: 'Look whether everything is as it should be, and say what to do.',
  description:
    'It looks at the runtime, the configuration, TLS, the data folder, the key file, the database, the encryption of private keys, the server, its clock and keys, and ' +
    'at what is registered: owners, agents without credentials, credentials near their end or long unused, secrets, unbound tokens, ' +
    'resources without operations or guards, mandates that can not be used or run out, trusted issuers whose keys can not be had or by whose rules nobody can act. It changes nothing. It ends with 1 if something is broken; warnings alone end with 0.',
  examples: [
    { command: 'bailiwick doctor', does: 'Is everything all right?' },
    {
      command: 'bailiwick doctor --json | jq \'.findings[] | select(.status == "warn" or .status == "fail")\'',
      does: 'For a monitor',
    },
  ],
  async run(context) {
    const { io, globals } = context;
    const paint = painter(io);
    const findings: Finding[] = [];
    const say = (...found: Finding[]) => {
      findings.push(...found);
      if (globals.json) return;
      for (const finding of found) io.out(`${line(finding, paint)}\n`);
    };

    say(checkRuntime(process.versions.node));
    const config = checkConfig(context, say);
    if (config !== undefined) {
      say(checkTransport(config, io.now()), ...checkData(config), await checkDatabase(config));
      if (isBesideData(config)) say(await checkEncryption(config));
      say(...checkSecretsException(config, io.now()));
    }
    if (config !== undefined || namedIdentity(context) !== undefined) await checkRemote(context, config, say);
    // there is no database here, and no server said how it keeps its keys: what the next start would do
    if (config !== undefined && !findings.some(({ check }) => check === 'encryption'))
      say(await checkEncryption(config));

    const count = (status: Finding['status']) => findings.filter((finding) => finding.status === status).length;
    if (globals.json) io.out(`${JSON.stringify({ findings }, null, 2)}\n`);
    else io.out(`\n${summary(count('warn'), count('fail'))}\n`);
    return count('fail') > 0 ? exitCodes.failed.code : exitCodes.ok.code;
  },
});

type Say = (...found: Finding[]) => void;

function checkConfig(context: Context, say: Say): Config | undefined {
  try {
    const config = configOf(context);
    say(ok('configuration', 'read, and nothing in it contradicts itself'));
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    say(...error.problems.map((problem) => fail('configuration', problem, 'Mend it, then start the server again.')));
    return undefined;
  }
}

async function checkRemote(context: Context, config: Config | undefined, say: Say): Promise<void> {
  const file = checkKeyFile(identityFile(context).file);
  say(file);
  try {
    const identity = readIdentity(context);
    if (config !== undefined && !identityFile(context).named && identity.issuer !== config.issuer) {
      const message = `The key file is for ${identity.issuer}, and the configuration here says ${config.issuer}.`;
      say(warn('issuer', message, 'Set the same BAILIWICK_… here as for the server, or write it into bailiwick.yaml.'));
    }
    const server = await checkServer(identity.issuer, context.io.now, config?.clock_skew_seconds ?? 30);
    const [first, ...rest] = server;
    if (first?.todo !== undefined && first.status === 'fail') {
      say({ ...first, todo: `${first.todo} ${movedHint(context, identity)}` }, ...rest);
    } else say(...server);
    if (server[0]?.status === 'fail') return;
    const api = openApi(context, identity);
    say(...(await checkRegistry(api, context.io.now())));
    say(...(await checkSignals(api, context.io.now())));
    say(...(await checkDrills(api, config?.drill.every_hours, context.io.now())));
    if (config === undefined || !isBesideData(config)) say(...(await checkServerEncryption(api)));
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    if (file.status === 'ok') say(fail('key file', error.message, error.hint ?? 'Look at the key file.'));
    else if (config !== undefined)
      say(...(await checkServer(config.issuer, context.io.now, config.clock_skew_seconds)));
  }
}

function line({ status, check, message, todo }: Finding, paint: ReturnType<typeof painter>): string {
  const style = { ok: 'green', note: 'bold', warn: 'yellow', fail: 'red' } as const;
  const head = `${paint(style[status], status.padEnd(4))}  ${check.padEnd(13)}  ${printable(message)}`;
  return todo === undefined ? head : `${head}\n${' '.repeat(21)}→ ${printable(todo)}`;
}

function summary(warnings: number, failures: number): string {
  const counted = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;
  if (failures > 0) return `${counted(failures, 'thing')} broken, ${counted(warnings, 'warning')}.`;
  return warnings > 0 ? `Nothing is broken; ${counted(warnings, 'warning')}.` : 'Everything is as it should be.';
}
