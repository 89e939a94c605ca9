/** What a credential is made of, as options say it: exactly one kind, and what belongs to that kind alone. */
import path from 'node:path';
import type { Context, OptionSpec } from './command.ts';
import { CliError } from './errors.ts';
import { readText } from './identity.ts';
import { type KeyChoice, keyFromOptions, keyOptions } from './key-options.ts';
import { duration, instant, pair } from './values.ts';

export const tokenOptions = {
  address: {
    value: 'CIDR',
    many: true,
    description: 'From where an enrolment token may be used. Anywhere, unless said.',
  },
  attribute: {
    value: 'NAME=VALUE',
    many: true,
    description: 'What you know of the instance that will use an enrolment token, such as zone=eu-1.',
  },
  lifetime: { value: 'TIME', description: 'How long an enrolment token can be used: 10m unless said, 1h at most.' },
} as const satisfies Record<string, OptionSpec>;

export const credentialOptions = {
  ...keyOptions,
  certificate: { value: 'FILE', description: 'One certificate (PEM), whoever issued it: it alone, by its hash.' },
  'tls-subject': {
    value: 'FIELD=NAME',
    description:
      'A name in certificates: subject_dn, san_dns, san_uri, san_ip or san_email, such as san_dns=desk.example.com.',
  },
  ca: {
    value: 'FILE',
    description: 'Who must have issued the certificates of --tls-subject (PEM). This server itself, unless said.',
  },
  'spiffe-id': { value: 'ID', description: 'A SPIFFE ID of another trust domain; /* at its end means all below it.' },
  secret: {
    description: 'A shared secret, made by the server and shown once. Needs a dated exception, and --expires.',
  },
  'enrolment-token': { description: 'A token by which one instance enrols, made by the server and shown once.' },
  ...tokenOptions,
  label: { value: 'TEXT', description: 'Where the private half lives, say.' },
  expires: { value: 'TIME', description: 'When it ends by itself, such as 2030-01-31T12:00:00Z, or in how long: 90d.' },
} as const satisfies Record<string, OptionSpec>;

interface Options {
  'key-out': string | undefined;
  key: string | undefined;
  alg: string | undefined;
  certificate: string | undefined;
  'tls-subject': string | undefined;
  ca: string | undefined;
  'spiffe-id': string | undefined;
  secret: boolean;
  'enrolment-token': boolean;
  address: string[];
  attribute: string[];
  lifetime: string | undefined;
  label: string | undefined;
  expires: string | undefined;
}

/** The body of a request, and what there is to do with a key that was made here. */
export interface CredentialChoice {
  body: Record<string, unknown>;
  key: KeyChoice | undefined;
}

const kinds = ['key-out', 'key', 'certificate', 'tls-subject', 'spiffe-id', 'secret', 'enrolment-token'] as const;
const kindsInWords =
  '--key-out FILE makes a key, --key FILE takes one; or --certificate, --tls-subject, --spiffe-id, --secret, --enrolment-token';

/**
 * What the options say.
 * @param fallback the kind that is meant when none is named
 * @throws CliError (usage) for none, for two, and for options that belong to another kind
 */
export async function credentialFromOptions(
  context: Context,
  options: Options,
  fallback?: 'secret' | 'enrolment-token' | undefined,
): Promise<CredentialChoice> {
  const named = kinds.filter((kind) => options[kind] !== undefined && options[kind] !== false);
  const [kind = fallback, another] = named;
  if (kind === undefined) throw new CliError('usage', 'Which credential?', { hint: `${kindsInWords}.` });
  if (another !== undefined && !(kind === 'key-out' && another === 'key')) {
    throw new CliError('usage', `--${kind} and --${another} are two credentials: add one after the other.`);
  }
  belongs(options, kind);
  const common = { label: options.label, expires_at: instant('--expires', options.expires, context.io.now()) };
  switch (kind) {
    case 'key-out':
    case 'key': {
      const key = await keyFromOptions(context, options);
      return { body: { jwk: key.jwk, ...common }, key };
    }
    case 'certificate':
      return {
        body: { kind: 'certificate', certificate: fileOf(context, options.certificate), ...common },
        key: undefined,
      };
    case 'tls-subject': {
      const [field, value] = pair('--tls-subject', options['tls-subject'] ?? '', 'san_dns=desk.example.com');
      const ca = options.ca === undefined ? undefined : fileOf(context, options.ca);
      return { body: { kind: 'certificate_subject', subject: { field, value, ca }, ...common }, key: undefined };
    }
    case 'spiffe-id':
      return { body: { kind: 'spiffe_id', spiffe_id: options['spiffe-id'], ...common }, key: undefined };
    case 'secret':
      if (options.expires === undefined) throw new CliError('usage', 'A secret needs an end, such as --expires 30d.');
      return { body: { kind: 'secret', ...common }, key: undefined };
    case 'enrolment-token':
      return { body: { kind: 'enrolment_token', label: options.label, ...tokenFromOptions(options) }, key: undefined };
  }
}

/** What an enrolment token is limited to. */
export function tokenFromOptions({
  address,
  attribute,
  lifetime,
}: Pick<Options, 'address' | 'attribute' | 'lifetime'>) {
  const seconds = lifetime === undefined ? undefined : Math.round(duration('--lifetime', lifetime) / 1000);
  if (seconds !== undefined && (seconds < 1 || seconds > 3600)) {
    throw new CliError('usage', '--lifetime is 1h at most: a token that waits longer is a password.');
  }
  const attributes = attribute.map((text) => pair('--attribute', text, 'zone=eu-1'));
  return {
    ...(address.length > 0 && { addresses: address }),
    ...(attributes.length > 0 && { attributes: Object.fromEntries(attributes) }),
    ...(seconds !== undefined && { lifetime_seconds: seconds }),
  };
}

/** An option of another kind is a mistake, not a wish to be dropped in silence. */
function belongs(options: Options, kind: (typeof kinds)[number]): void {
  const token = kind === 'enrolment-token';
  const wrong =
    (options.ca !== undefined && kind !== 'tls-subject' && (['--ca', '--tls-subject'] as const)) ||
    (options.alg !== undefined && kind !== 'key-out' && (['--alg', '--key-out'] as const)) ||
    (!token && options.address.length > 0 && (['--address', '--enrolment-token'] as const)) ||
    (!token && options.attribute.length > 0 && (['--attribute', '--enrolment-token'] as const)) ||
    (!token && options.lifetime !== undefined && (['--lifetime', '--enrolment-token'] as const));
  if (wrong) throw new CliError('usage', `${wrong[0]} says something about ${wrong[1]}, and --${kind} was given.`);
  if (token && options.expires !== undefined) {
    throw new CliError('usage', 'How long an enrolment token can be used is said with --lifetime, such as 10m.');
  }
}

const fileOf = ({ io }: Context, name = ''): string =>
  readText(path.resolve(io.cwd, name), () => 'It must be PEM: -----BEGIN CERTIFICATE----- …', 'certificate');
