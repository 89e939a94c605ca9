import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { networks, type Sensitivity } from '@bailiwick/protocol';
import type { Demands } from '../demands.ts';
import type { GuardMode } from '../options.ts';
import { type DialectName, dialects } from './dialect.ts';

/** How the sidecar is set up is wrong; the message says what to write. */
export class SidecarConfigError extends Error {
  override name = 'SidecarConfigError';
}

export interface SidecarConfig {
  resource: string;
  issuer: string | undefined;
  credential: string;
  proxy: DialectName;
  listen: { host: string; port: number };
  mode: GuardMode;
  /** Stricter than what the resource chose for when it can't be known what was revoked. */
  whenLost: 'refuse' | undefined;
  /** Before operations of which sensitivity on it is asked whether they are allowed now; undefined: what the guard does by default. */
  askFrom: Sensitivity | 'never' | undefined;
  trustedProxies: readonly string[];
  clientCertificates: boolean;
  /** On whose authority callers may come. */
  demands: Demands;
  /** The trust domain whose transaction tokens are taken, in place of access tokens. */
  transactions: string | undefined;
  localPath: string | undefined;
  nonce: 'required' | 'off';
  cacheSeconds: number | undefined;
  zones: Record<string, string[]> | undefined;
  countryFile: string | undefined;
  log: 'all' | 'refused' | 'none';
  /** The folder in which reports of uses wait, or in memory, or there are none. */
  reports: { folder: string } | 'memory' | 'off';
}

/** What the command line asks for. */
export interface Invocation {
  action: 'run' | 'check' | 'help';
  config: SidecarConfig | undefined;
}

interface Setting {
  /** What stands behind the flag in the help; undefined for one that is there or not. */
  value?: string;
  list?: true;
  help: string;
}

/** Every setting: `--trusted-proxy`, `BAILIWICK_GUARD_TRUSTED_PROXY`, and `trusted_proxy` in the file. */
export const settings: Record<string, Setting> = {
  resource: { value: 'URL', help: 'the identifier of the service: the URL that callers use' },
  credential: { value: 'FILE', help: 'the guard’s own identity, from `bailiwick guards create … --key-out FILE`' },
  proxy: { value: 'NAME', help: `who asks: ${Object.keys(dialects).join(', ')}. Headers of no other are read` },
  listen: { value: 'ADDRESS:PORT', help: 'where to listen (127.0.0.1:8457)' },
  mode: {
    value: 'MODE',
    help: 'feed (default), introspect or offline: a revoked token then works for up to 15 minutes',
  },
  'when-lost': { value: 'WHAT', help: 'refuse: nobody passes while it can’t be known what was revoked (mode feed)' },
  'ask-from': {
    value: 'LEVEL',
    help: 'low, medium, high (default) or never: before which sensitivity on policy is asked each time',
  },
  'trusted-proxy': { value: 'NETWORK', list: true, help: 'whose headers are believed (127.0.0.1 and ::1)' },
  'client-certificates': { help: 'believe the proxy’s Client-Cert header (RFC 9440); nginx and caddy' },
  'demand-person': { help: 'refuse agents that act for themselves: here it takes a person’s authority' },
  'max-depth': {
    value: 'NUMBER',
    help: 'how many agents may act one for another: 1 is the one that the person let act',
  },
  without: {
    value: 'AGENT',
    list: true,
    help: 'an agent that may be nowhere in the chain: its id (agt_…) or SPIFFE ID',
  },
  transactions: {
    value: 'DOMAIN',
    help: 'for a service inside of this trust domain: take its transaction tokens (Txn-Token), and no access tokens',
  },
  'local-path': { value: 'PATH', help: 'where the service lies below the proxy, if not at the path of the resource' },
  'dpop-nonce': { value: 'MODE', help: 'required or off (default): callers use nonces of this process' },
  'introspection-cache': { value: 'SECONDS', help: 'how long an answer about a token is believed (2)' },
  zone: { value: 'NAME=NETWORK,…', list: true, help: 'the addresses of a compute zone that tokens can be limited to' },
  'country-file': { value: 'FILE', help: 'an MMDB file with countries, in place of the one that comes along' },
  issuer: { value: 'URL', help: 'the identity provider, if the credential doesn’t name it' },
  reports: {
    value: 'FOLDER',
    help: 'where reports of uses wait for the identity provider (bailiwick-guard in the state folder), or: memory, off',
  },
  log: { value: 'WHAT', help: 'decisions to write, as JSON lines: all (default), refused or none' },
};

const askLevels = ['high', 'medium', 'low', 'never'] as const;

type Given = Record<string, string | string[] | boolean | undefined>;

/**
 * Reads flags, then the environment, then the file that `--config` names: what comes first counts. Unknown names are refused everywhere.
 * @throws SidecarConfigError naming the flag, variable or member
 */
export function readInvocation(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Invocation {
  const flags = flagsOf(args);
  if (flags.help) return { action: 'help', config: undefined };
  const fromEnv = environmentOf(env);
  const file = flags.config ?? fromEnv.config;
  const given = { ...(file === undefined ? {} : fileOf(String(file))), ...fromEnv, ...flags };
  return { action: flags.check ? 'check' : 'run', config: configFrom(given, env) };
}

function flagsOf(args: readonly string[]): Given {
  const options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
    check: { type: 'boolean' },
    config: { type: 'string' },
  };
  for (const [name, { value, list }] of Object.entries(settings)) {
    options[name] = { type: value === undefined ? 'boolean' : 'string', ...(list ? { multiple: true } : {}) };
  }
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
    return { ...values } as Given;
  } catch (error) {
    const said = (error as Error).message.split('. ')[0];
    throw new SidecarConfigError(`${said}. Try --help.`);
  }
}

const prefix = 'BAILIWICK_GUARD_';

function environmentOf(env: Readonly<Record<string, string | undefined>>): Given {
  const given: Given = {};
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(prefix) || value === undefined) continue;
    const name = variable.slice(prefix.length).toLowerCase().replaceAll('_', '-');
    const setting = Object.hasOwn(settings, name) ? settings[name] : undefined;
    if (setting === undefined && name !== 'config') throw new SidecarConfigError(`${variable} is no setting.`);
    given[name] = typed(variable, setting, value);
  }
  return given;
}

/** An environment has text alone: lists are separated by spaces, what is there or not is `true` or `false`. */
function typed(variable: string, setting: Setting | undefined, value: string): Given[string] {
  if (setting?.list) return value.split(/ +/).filter((each) => each !== '');
  if (setting === undefined || setting.value !== undefined) return value;
  if (value !== 'true' && value !== 'false') throw new SidecarConfigError(`${variable} must be true or false.`);
  return value === 'true';
}

function fileOf(file: string): Given {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'it is not JSON';
    throw new SidecarConfigError(`The configuration ${file} can't be read: ${why}.`);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new SidecarConfigError(`The configuration ${file} must be a JSON object.`);
  }
  const given: Given = {};
  for (const [member, value] of Object.entries(content)) {
    const name = member.replaceAll('_', '-');
    const setting = Object.hasOwn(settings, name) && !member.includes('-') ? settings[name] : undefined;
    if (setting === undefined) throw new SidecarConfigError(`${file}: "${member}" is no setting.`);
    given[name] = checked(`${file}: ${member}`, setting, value);
  }
  return given;
}

function checked(where: string, { value: shape, list }: Setting, value: unknown): Given[string] {
  if (list) {
    if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
    throw new SidecarConfigError(`${where} must be a list of strings.`);
  }
  if (shape === undefined) {
    if (typeof value === 'boolean') return value;
    throw new SidecarConfigError(`${where} must be true or false.`);
  }
  if (typeof value === 'string') return value;
  if (typeof value === 'number' && (shape === 'SECONDS' || shape === 'NUMBER')) return String(value);
  throw new SidecarConfigError(`${where} must be a string.`);
}

function configFrom(given: Given, env: Readonly<Record<string, string | undefined>>): SidecarConfig {
  const text = (name: string): string | undefined => given[name] as string | undefined;
  const proxy = given.proxy as DialectName | undefined;
  if (proxy === undefined || !Object.hasOwn(dialects, proxy)) {
    throw new SidecarConfigError(
      `--proxy must be one of ${Object.keys(dialects).join(', ')}: whose headers are believed.`,
    );
  }
  const resource = required(given, 'resource', 'the URL that callers use for the service, as it is registered');
  const credential = required(given, 'credential', 'the file from `bailiwick guards create … --key-out FILE`');
  const clientCertificates = given['client-certificates'] === true;
  if (clientCertificates && !dialects[proxy].certificates) {
    throw new SidecarConfigError(`--client-certificates: ${proxy} passes no certificates on as RFC 9440 has it.`);
  }
  return {
    resource,
    credential,
    proxy,
    clientCertificates,
    issuer: text('issuer'),
    listen: listenOf(text('listen') ?? '127.0.0.1:8457'),
    mode: oneOf(given, 'mode', ['feed', 'introspect', 'offline']),
    whenLost: given['when-lost'] === undefined ? undefined : oneOf(given, 'when-lost', ['refuse']),
    askFrom: given['ask-from'] === undefined ? undefined : oneOf(given, 'ask-from', askLevels),
    trustedProxies: proxiesOf((given['trusted-proxy'] as string[] | undefined) ?? ['127.0.0.1', '::1']),
    demands: demandsOf(given),
    transactions: text('transactions'),
    localPath: text('local-path'),
    nonce: oneOf(given, 'dpop-nonce', ['off', 'required']),
    cacheSeconds: secondsOf(text('introspection-cache')),
    zones: zonesOf(given.zone as string[] | undefined),
    countryFile: text('country-file'),
    log: oneOf(given, 'log', ['all', 'refused', 'none']),
    reports: reportsOf(text('reports'), env),
  };
}

function required(given: Given, name: string, what: string): string {
  const value = given[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new SidecarConfigError(`--${name} is missing: ${what}.`);
}

/** The first is the default. */
function oneOf<const Choice extends string>(
  given: Given,
  name: string,
  choices: readonly [Choice, ...Choice[]],
): Choice {
  const value = given[name] ?? choices[0];
  if ((choices as readonly unknown[]).includes(value)) return value as Choice;
  throw new SidecarConfigError(`--${name} must be ${choices.join(' or ')}.`);
}

function listenOf(text: string): SidecarConfig['listen'] {
  const [, bracketed, plain, port = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  throw new SidecarConfigError('--listen must be an address and a port, like 127.0.0.1:8457 or [::1]:8457.');
}

function proxiesOf(list: readonly string[]): readonly string[] {
  if (list.length === 0) throw new SidecarConfigError('--trusted-proxy must name the proxy, or nobody is answered.');
  // Whoever is believed says which method and path is asked about, and from where: everybody would be anybody.
  if (list.some((entry) => /\/0+$/.test(entry))) {
    throw new SidecarConfigError(
      '--trusted-proxy: a network of everybody would let everybody say what they asked for.',
    );
  }
  try {
    networks(list);
    return list;
  } catch (error) {
    throw new SidecarConfigError(`--trusted-proxy: ${(error as Error).message}.`);
  }
}

/** What is wrong with them the guard says. */
function demandsOf(given: Given): Demands {
  const { 'demand-person': person, 'max-depth': depth, without } = given;
  if (depth !== undefined && !/^\d{1,2}$/.test(depth as string)) {
    throw new SidecarConfigError('--max-depth must be a whole number from 0.');
  }
  return {
    ...(person === true ? { person } : {}),
    ...(depth === undefined ? {} : { maxDepth: Number(depth) }),
    ...(without === undefined ? {} : { without: without as string[] }),
  };
}

function secondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (/^\d{1,3}(\.\d+)?$/.test(text) && seconds <= 300) return seconds;
  throw new SidecarConfigError('--introspection-cache must be a number of seconds from 0 to 27.');
}

/** By default where a service keeps its state: as systemd says, else below the user's own folder. Where neither is known, in memory. */
function reportsOf(
  text: string | undefined,
  { STATE_DIRECTORY, XDG_STATE_HOME, HOME }: Readonly<Record<string, string | undefined>>,
): SidecarConfig['reports'] {
  if (text === 'memory' || text === 'off') return text;
  if (text === '') throw new SidecarConfigError('--reports must be a folder, memory or off.');
  if (text !== undefined) return { folder: text };
  if (STATE_DIRECTORY) return { folder: path.join(STATE_DIRECTORY.split(':')[0] as string, 'reports') };
  const state = XDG_STATE_HOME || (HOME ? path.join(HOME, '.local', 'state') : undefined);
  return state === undefined ? 'memory' : { folder: path.join(state, 'bailiwick-guard', 'reports') };
}

function zonesOf(list: readonly string[] | undefined): Record<string, string[]> | undefined {
  if (list === undefined) return undefined;
  const zones: Record<string, string[]> = Object.create(null);
  for (const entry of list) {
    const [, name, addresses] = /^([\w.:@/-]{1,64})=(\S+)$/.exec(entry) ?? [];
    if (name === undefined || addresses === undefined) {
      throw new SidecarConfigError(`--zone must be a name and its networks, like eu-1=10.1.0.0/16: "${entry}".`);
    }
    zones[name] = [...(zones[name] ?? []), ...addresses.split(',')];
  }
  return { ...zones };
}
