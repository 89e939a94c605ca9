/**
 * The settings of the server, read from every place where they may stand. The reference page docs/reference/config.md,
 * the template of `bailiwick init` and the environment's names are made from the schema.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { z } from 'zod';
import { configSchema } from './config-schema.ts';
import { isLoopback } from './config-values.ts';
import {
  emptyLayer,
  howToWrite,
  type Layered,
  put,
  putEnv,
  putYaml,
  type Setting,
  settingsOf,
  wrongValue,
} from './lib/settings.ts';

/** What the server runs on: every setting has its value, paths are absolute, and the rules between settings hold. */
export type Config = Omit<
  z.output<typeof configSchema>,
  'issuer' | 'trust_domain' | 'tls' | 'mtls' | 'key_encryption' | 'outbound' | 'context'
> & {
  issuer: string;
  trust_domain: string;
  /** Absolute paths of PEM files, or undefined for plain http. */
  tls: { cert: string; key: string } | undefined;
  mtls: {
    enabled: boolean;
    port: number;
    /** The base of its endpoints' URLs; undefined where nobody speaks mutual TLS for this server. */
    url: string | undefined;
    /** Absolute paths of PEM files, or undefined for a certificate of our own authority. */
    files: { cert: string; key: string } | undefined;
    proxies: string[];
  };
  key_encryption: { key?: string | undefined; file?: string | undefined; command?: string[] | undefined };
  context: { country_file?: string | undefined; zones: Record<string, string[]> };
  outbound: { ca_file?: string | undefined; timeout_seconds: number; dangerously_private_networks: string[] };
};

/** The same tree with everything optional: what a flag or a test sets. */
export type ConfigOverrides = z.input<typeof configSchema>;

/** Every setting with its name, environment variable, default and description, in the schema's order. */
export const settings: readonly Setting[] = settingsOf(configSchema, 'BAILIWICK_');

/** Variables that belong to the command line and are no settings. */
export const otherVariables = {
  BAILIWICK_CONFIG: 'The configuration file, instead of bailiwick.yaml in the current folder.',
  BAILIWICK_IDENTITY: 'The key file by which the command line proves who it is, instead of <data>/operator.json.',
} as const;

/** Settings that can't be started with. `problems` has one sentence each, with what to write. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

export interface ConfigSources {
  env?: Readonly<Record<string, string | undefined>>;
  /** Where bailiwick.yaml is looked for, and what relative paths are relative to. */
  cwd?: string;
  /** The value of --config: this file must exist. */
  file?: string | undefined;
  /** From flags and tests; the strongest source. */
  overrides?: ConfigOverrides;
  /** Throws an error with `code: 'ENOENT'` when there is none. */
  readFile?: (file: string) => string;
}

/**
 * Defaults < bailiwick.yaml < environment < overrides.
 * @throws ConfigError with everything that is wrong at once, each with its name, where it stood and what to write.
 */
export function loadConfig(sources: ConfigSources = {}): Config {
  const env = withoutForeign(sources.env ?? {});
  const cwd = sources.cwd ?? '.';
  const layer = emptyLayer();
  const file = readConfigFile(layer, { ...sources, env, cwd });
  putEnv(layer, settings, env, { prefix: 'BAILIWICK_', others: Object.keys(otherVariables) });
  putOverrides(layer, sources.overrides ?? {});

  const parsed = configSchema.safeParse(layer.values);
  if (!parsed.success) layer.problems.push(...wrongValues(layer, parsed.error));
  if (!parsed.success || layer.problems.length > 0) throw new ConfigError([...new Set(layer.problems)]);

  const config = complete(parsed.data, (name, value) => {
    const fromFile = file !== undefined && layer.sources.get(name)?.startsWith(file.shown);
    return path.resolve(cwd, fromFile ? path.dirname(file.path) : '.', value);
  });
  const problems = brokenRules(config, layer);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

function readConfigFile(
  layer: Layered,
  { env, cwd, file, readFile }: ConfigSources & { env: Readonly<Record<string, string | undefined>>; cwd: string },
): { path: string; shown: string } | undefined {
  const named = file ?? (env.BAILIWICK_CONFIG || undefined);
  const shown = named ?? 'bailiwick.yaml';
  const absolute = path.resolve(cwd, shown);
  try {
    putYaml(layer, settings, (readFile ?? ((name) => readFileSync(name, 'utf8')))(absolute), shown);
    return { path: absolute, shown };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' && named === undefined) return undefined;
    const how =
      code === 'ENOENT' ? 'Write one with `bailiwick init`, or leave --config and BAILIWICK_CONFIG away' : String(code);
    layer.problems.push(`The configuration file ${absolute} can't be read. ${how}.`);
    return undefined;
  }
}

function putOverrides(layer: Layered, overrides: ConfigOverrides): void {
  const tree = overrides as Record<string, unknown>;
  for (const setting of settings) {
    const value = setting.path.reduce<unknown>(
      (node, key) => (node as Record<string, unknown> | undefined)?.[key],
      tree,
    );
    const flag = `--${setting.path.join('-').replaceAll('_', '-')}`;
    if (value !== undefined) put(layer, setting.path, value, flag);
  }
}

/**
 * What begins like our variables and is somebody else's: a Kubernetes Service named "bailiwick" puts
 * BAILIWICK_PORT=tcp://… and its kin into every pod beside it, and our own tests have BAILIWICK_TEST_….
 */
function withoutForeign(env: Readonly<Record<string, string | undefined>>) {
  const foreign = /^BAILIWICK_(TEST_.*|SERVICE_(HOST|PORT)(_.*)?|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)$/;
  const entries = Object.entries(env).filter(
    ([name, value]) => !foreign.test(name) && !(name === 'BAILIWICK_PORT' && /^(tcp|udp|sctp):/.test(value ?? '')),
  );
  return Object.fromEntries(entries);
}

function wrongValues(layer: Layered, error: z.ZodError): string[] {
  return error.issues.map((issue) => {
    const name = issue.path.filter((key) => typeof key === 'string').join('.');
    const setting = settings.find((candidate) => name === candidate.name);
    if (setting === undefined) return `${name}: ${issue.message}.`;
    const value = setting.path.reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], layer.values);
    return wrongValue(setting, value, layer.sources.get(setting.name) ?? 'default');
  });
}

function complete(parsed: z.output<typeof configSchema>, resolve: (name: string, value: string) => string): Config {
  const { cert, key } = parsed.tls;
  const files = (pair: { cert?: string | undefined; key?: string | undefined }, name: string) =>
    pair.cert || pair.key
      ? {
          cert: pair.cert ? resolve(`${name}.cert`, pair.cert) : '',
          key: pair.key ? resolve(`${name}.key`, pair.key) : '',
        }
      : undefined;
  const issuer = parsed.issuer ?? `${cert ? 'https' : 'http'}://localhost:${parsed.port}`;
  return {
    ...parsed,
    issuer,
    data: resolve('data', parsed.data),
    trust_domain: parsed.trust_domain ?? new URL(issuer).hostname,
    tls: files({ cert, key }, 'tls'),
    mtls: completeMtls(parsed, issuer, files(parsed.mtls, 'mtls')),
    key_encryption: {
      ...parsed.key_encryption,
      file: parsed.key_encryption.file && resolve('key_encryption.file', parsed.key_encryption.file),
    },
    context: {
      ...parsed.context,
      country_file: parsed.context.country_file && resolve('context.country_file', parsed.context.country_file),
    },
    exports: {
      directory: parsed.exports.directory && resolve('exports.directory', parsed.exports.directory),
    },
    outbound: {
      ...parsed.outbound,
      ca_file: parsed.outbound.ca_file && resolve('outbound.ca_file', parsed.outbound.ca_file),
    },
  };
}

function completeMtls(
  parsed: z.output<typeof configSchema>,
  issuer: string,
  files: { cert: string; key: string } | undefined,
): Config['mtls'] {
  const { enabled, url, proxies } = parsed.mtls;
  const port = parsed.mtls.port ?? (parsed.port === 0 ? 0 : parsed.port + 1);
  const { hostname, pathname } = new URL(issuer);
  const own = enabled ? `https://${hostname}:${port}${pathname === '/' ? '' : pathname}` : undefined;
  return { enabled, port, url: url ?? own, files, proxies };
}

/** The rules between settings, each broken one as a sentence. */
function brokenRules(config: Config, layer: Layered): string[] {
  const problems: string[] = [];
  const say = (name: string, sentence: string, example?: string) => {
    const setting = settings.find((candidate) => candidate.name === name);
    if (setting === undefined) throw new Error(`no setting ${name}`);
    const source = layer.sources.get(name) ?? 'bailiwick.yaml';
    problems.push(
      `${name}${layer.sources.has(name) ? ` (${source})` : ''}: ${sentence} ${howToWrite(setting, source, example)}`,
    );
  };

  const https = config.issuer.startsWith('https:');
  const served = config.tls !== undefined;
  const proxied = config.trusted_proxies.length > 0;
  const outside = config.host.filter((host) => !isLoopback(host));

  if (config.tls?.cert === '') say('tls.cert', 'tls.key is set, so the certificate is needed too.');
  if (config.mtls.files?.cert === '') say('mtls.cert', 'mtls.key is set, so the certificate is needed too.');
  if (config.mtls.files?.key === '') say('mtls.key', 'mtls.cert is set, so its private key is needed too.');
  if (config.mtls.enabled && config.mtls.port === config.port && config.port !== 0) {
    say('mtls.port', `${config.port} is the port of everybody else; mutual TLS needs one of its own.`);
  }
  if (Object.values(config.key_encryption).filter((value) => value !== undefined).length > 1) {
    say('key_encryption.file', 'the key can come from one place: file, command or key.');
  }
  if (config.tls?.key === '') say('tls.key', 'tls.cert is set, so its private key is needed too.');
  if (outside.length > 0 && !served && !proxied) {
    say(
      'host',
      `${outside.join(' and ')} can be reached from other machines, and plain http is served to this one alone. ` +
        'Set tls.cert and tls.key, or name the proxy that ends TLS in trusted_proxies (BAILIWICK_TRUSTED_PROXIES=10.0.0.7), or stay on this machine.',
    );
  }
  if (outside.length > 0 && (served || proxied) && !layer.sources.has('issuer')) {
    say('issuer', 'others reach this server, so its public address must be said.');
  } else if (proxied && !https) {
    say('issuer', `${config.issuer} is plain http, but behind trusted_proxies the public address is https.`);
  } else if (served && !https) {
    say('issuer', `${config.issuer} is plain http, but tls is set.`, config.issuer.replace('http:', 'https:'));
  } else if (https && !served && !proxied) {
    say(
      'issuer',
      `${config.issuer} is https, but nothing here speaks TLS. Set tls.cert and tls.key, or name the proxy that does in trusted_proxies (BAILIWICK_TRUSTED_PROXIES=127.0.0.1,::1 for one on this machine), or use http on localhost.`,
      `http://localhost:${config.port}`,
    );
  }
  if (!/^[a-z0-9._-]{1,255}$/.test(config.trust_domain)) {
    say('trust_domain', `the issuer's host, ${config.trust_domain}, can't be one, so it must be said.`);
  }
  if (config.keys.jwks_max_age_seconds >= config.keys.publish_seconds) {
    say(
      'keys.jwks_max_age_seconds',
      `${config.keys.jwks_max_age_seconds} s must be less than keys.publish_seconds (${config.keys.publish_seconds} s), or a verifier could meet a key that it hasn't fetched.`,
      String(Math.floor(config.keys.publish_seconds / 2)),
    );
  }
  return problems;
}
