/**
 * Every setting of the server, in one strict schema. The reference page docs/reference/config.md, the template of
 * `bailiwick init` and the environment's names are made from it.
 */
import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import path from 'node:path';
import { z } from 'zod';
import {
  emptyLayer,
  howToWrite,
  type Layered,
  put,
  putEnv,
  putYaml,
  type Setting,
  type SettingMeta,
  settingsOf,
  wrongValue,
} from './lib/settings.ts';

const about = (meta: SettingMeta) => meta as unknown as z.GlobalMeta;
const seconds = (min: number, max: number) => z.number().int().min(min).max(max);
const wholeSeconds = (min: number, max: number) => `a whole number of seconds from ${min} to ${max}`;

/** The schema of bailiwick.yaml. Names are what one writes there; `BAILIWICK_` and the name in capitals is the environment's. */
export const configSchema = z.strictObject({
  issuer: z
    .string()
    .refine(isIssuer)
    .optional()
    .meta(
      about({
        description:
          'The address by which everybody knows this server, exactly as tokens name it. Choose it before you register anything: key files and verifiers carry it, and data that was made under another is refused (in plain http, on one machine, it moves along).',
        expects: 'an https URL without query, fragment or slash at its end (http only for localhost)',
        example: 'https://id.example.com',
        computed: 'http://localhost:<port>; https when tls is set',
      }),
    ),
  host: z
    .array(z.string().refine((host) => host === 'localhost' || isIP(host) !== 0))
    .min(1)
    .default(['127.0.0.1', '::1'])
    .meta(
      about({
        description: 'The addresses to listen on. More than this machine needs tls or trusted_proxies.',
        expects: 'a list of IP addresses of this machine',
        example: '127.0.0.1,::1',
      }),
    ),
  port: z
    .number()
    .int()
    .min(0)
    .max(65535)
    .default(8455)
    .meta(
      about({
        description: 'The port to listen on. 0 takes any free one (for tests).',
        expects: 'a whole number from 0 to 65535',
        example: '8455',
      }),
    ),
  data: z
    .string()
    .min(1)
    .default('./data')
    .meta(
      about({
        description:
          'The folder of the database, the signing keys and operator.json. In bailiwick.yaml relative to that file, otherwise to where the command runs. Keep it private and in your backups.',
        expects: 'a folder',
        example: './data',
      }),
    ),
  database_url: z
    .string()
    .regex(/^postgres(ql)?:\/\/./)
    .optional()
    .meta(
      about({
        description:
          'A PostgreSQL database to use instead of the embedded SQLite. Prefer the environment: it may hold a password.',
        expects: 'a URL that begins with postgres://',
        example: 'postgres://bailiwick@db.internal/bailiwick',
        computed: 'SQLite in <data>/bailiwick.db',
        secret: true,
      }),
    ),
  trust_domain: z
    .string()
    .regex(/^[a-z0-9._-]{1,255}$/)
    .optional()
    .meta(
      about({
        description:
          'The first part of every agent’s name, spiffe://<trust_domain>/<organization>/<agent>. Two servers on one host need two. Never change it once agents exist.',
        expects: 'lowercase letters, digits, dots, hyphens and underscores, at most 255',
        example: 'agents.example.com',
        computed: "the issuer's host name",
      }),
    ),
  tls: z
    .strictObject({
      cert: z
        .string()
        .min(1)
        .optional()
        .meta(
          about({
            description: 'A PEM file with the certificate and its chain.',
            expects: 'a PEM file',
            example: '/etc/bailiwick/tls.crt',
          }),
        ),
      key: z
        .string()
        .min(1)
        .optional()
        .meta(
          about({
            description: 'A PEM file with the certificate’s private key.',
            expects: 'a PEM file',
            example: '/etc/bailiwick/tls.key',
          }),
        ),
    })
    .prefault({}),
  trusted_proxies: z
    .array(z.string().refine(isCidr))
    .default([])
    .meta(
      about({
        description:
          'The addresses of the reverse proxies that end TLS for this server; X-Forwarded-For is believed from them alone.',
        expects: 'a list of addresses or networks in CIDR notation',
        example: '10.0.0.0/8,::1',
      }),
    ),
  token: z
    .strictObject({
      lifetime_seconds: seconds(1, 900)
        .default(600)
        .meta(
          about({
            description: 'How long an access token lives, unless its resource or agent says less.',
            expects: wholeSeconds(1, 900),
            example: '600',
          }),
        ),
    })
    .prefault({}),
  assertion: z
    .strictObject({
      max_lifetime_seconds: seconds(10, 3600)
        .default(300)
        .meta(
          about({
            description: 'How far ahead the `exp` of a client’s assertion may lie.',
            expects: wholeSeconds(10, 3600),
            example: '300',
          }),
        ),
    })
    .prefault({}),
  clock_skew_seconds: seconds(0, 60)
    .default(30)
    .meta(
      about({
        description: 'How far another machine’s clock may differ from ours.',
        expects: wholeSeconds(0, 60),
        example: '30',
      }),
    ),
  dpop: z
    .strictObject({
      nonce: z
        .enum(['required', 'optional'])
        .default('required')
        .meta(
          about({
            description:
              'Whether a DPoP proof at the token endpoint must carry a nonce of ours (RFC 9449 §8). Without it a proof made ahead of time works within its age.',
            expects: '"required" or "optional"',
            example: 'required',
          }),
        ),
      nonce_lifetime_seconds: seconds(30, 3600)
        .default(300)
        .meta(
          about({
            description: 'How long a nonce that we handed out is accepted.',
            expects: wholeSeconds(30, 3600),
            example: '300',
          }),
        ),
      proof_max_age_seconds: seconds(10, 300)
        .default(60)
        .meta(
          about({
            description: 'How old a DPoP proof may be.',
            expects: wholeSeconds(10, 300),
            example: '60',
          }),
        ),
    })
    .prefault({}),
  keys: z
    .strictObject({
      publish_seconds: seconds(1, 86_400)
        .default(600)
        .meta(
          about({
            description:
              'How long a new signing key is published before it signs, so that every verifier has fetched it by then.',
            expects: `${wholeSeconds(1, 86_400)}, and more than keys.jwks_max_age_seconds`,
            example: '600',
          }),
        ),
      jwks_max_age_seconds: seconds(0, 3600)
        .default(300)
        .meta(
          about({
            description: 'How long verifiers may keep our key set before they ask again.',
            expects: `${wholeSeconds(0, 3600)}, and less than keys.publish_seconds`,
            example: '300',
          }),
        ),
    })
    .prefault({}),
  limits: z
    .strictObject({
      body_bytes: z
        .number()
        .int()
        .min(1024)
        .max(16 * 1024 * 1024)
        .default(64 * 1024)
        .meta(
          about({
            description: 'The largest request body.',
            expects: 'a whole number of bytes from 1024 to 16777216',
            example: '65536',
          }),
        ),
      tokens_per_minute: z
        .number()
        .int()
        .min(1)
        .max(1_000_000)
        .default(600)
        .meta(
          about({
            description: 'How many tokens one agent may ask for in a minute, unless its registration says otherwise.',
            expects: 'a whole number from 1 to 1000000',
            example: '600',
          }),
        ),
    })
    .prefault({}),
  log_level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .meta(
      about({
        description: 'How much the server logs, as lines of JSON on standard output.',
        expects: 'one of trace, debug, info, warn, error, fatal, silent',
        example: 'info',
      }),
    ),
  shutdown_grace_seconds: seconds(0, 300)
    .default(10)
    .meta(
      about({
        description: 'How long requests under way may take to finish after SIGTERM.',
        expects: wholeSeconds(0, 300),
        example: '10',
      }),
    ),
});

/** What the server runs on: every setting has its value, paths are absolute, and the rules between settings hold. */
export type Config = Omit<z.output<typeof configSchema>, 'issuer' | 'trust_domain' | 'tls'> & {
  issuer: string;
  trust_domain: string;
  /** Absolute paths of PEM files, or undefined for plain http. */
  tls: { cert: string; key: string } | undefined;
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
  const issuer = parsed.issuer ?? `${cert ? 'https' : 'http'}://localhost:${parsed.port}`;
  return {
    ...parsed,
    issuer,
    data: resolve('data', parsed.data),
    trust_domain: parsed.trust_domain ?? new URL(issuer).hostname,
    tls:
      cert || key
        ? { cert: cert ? resolve('tls.cert', cert) : '', key: key ? resolve('tls.key', key) : '' }
        : undefined,
  };
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

/** RFC 8414 §2: an https URL without query or fragment; http on this machine alone; never with a slash at its end. */
function isIssuer(value: string): boolean {
  if (!URL.canParse(value) || /[\s?#\\]/.test(value) || value.endsWith('/')) return false;
  const url = new URL(value);
  if (url.username !== '' || url.password !== '') return false;
  // exactly as a URL parser writes it, or two spellings of one issuer would be about
  const canonical = url.pathname === '/' ? url.origin : url.origin + url.pathname;
  if (value !== canonical || /%|\/\/|\/\.\.?(\/|$)/.test(url.pathname)) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
}

/** Whether a host name or address leads to this machine and nowhere else. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'));
}

function isCidr(value: string): boolean {
  const [address = '', bits, ...rest] = value.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  if (bits === undefined) return true;
  if (!/^\d{1,3}$/.test(bits) || Number(bits) === 0) return false; // everybody is no proxy
  try {
    new BlockList().addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
    return true;
  } catch {
    return false;
  }
}
