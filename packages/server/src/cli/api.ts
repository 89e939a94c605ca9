/** The admin API as the command line uses it: by an identity's own short tokens, like everybody else. */
import { BailiwickError, createAgent, StepUpRequired } from '@bailiwick/agent';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { type Identity, movedHint, readIdentity } from './identity.ts';
import { sentence } from './sentence.ts';

type Query = Readonly<Record<string, string | number | undefined>>;

export interface Api {
  identity: Identity;
  /** Whether its tokens have this scope: what is asked for without it is refused, and stands in the log. */
  may(scope: string): Promise<boolean>;
  get<T>(path: string, query?: Query): Promise<T>;
  /** The same with its entity tag, to change exactly what was read. */
  getTagged<T>(path: string): Promise<{ body: T; etag: string }>;
  /** Makes a new thing, in the organization that --organization names. */
  create<T>(path: string, body: unknown): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
  /** A question about the organization that --organization names: it has a body, and changes nothing. */
  ask<T>(path: string, body: unknown): Promise<T>;
  /** @param etag of what was read: what was changed meanwhile is left as it is */
  patch<T>(path: string, body: unknown, etag?: string): Promise<T>;
  put<T>(path: string, body: unknown): Promise<T>;
  delete(path: string): Promise<void>;
  /** An answer that goes on: its pieces as they come. Of the organization that --organization names. */
  stream(
    path: string,
    query: Query,
    more: { lastEventId?: string | undefined; signal: AbortSignal },
  ): Promise<Response>;
  /** Everything of a list, page after page. `most` stops earlier. */
  list<T>(path: string, query?: Query, most?: number): Promise<T[]>;
}

/** Lists of the registry are of one organization; lists below one thing are not. */
const ofOrganization = (path: string) => path !== '/organizations' && path.lastIndexOf('/') === 0;

interface ProblemBody {
  title?: string;
  detail?: string;
  errors?: { field: string; message: string }[];
}

/**
 * Opens the admin API of the server that the identity names. Nothing is asked yet.
 * @param fields whether mistakes are told by the names of fields, as a fleet file has them, and not by those of options
 */
export function openApi(
  context: Context,
  identity = readIdentity(context),
  { fields = false }: { fields?: boolean } = {},
): Api {
  const agent = createAgent({
    issuer: identity.issuer,
    clientId: identity.client_id,
    key: identity.jwk,
    resource: `${identity.issuer}/admin`,
    now: context.io.now,
  });
  const base = `${identity.issuer}/admin/v1`;
  const { organization } = context.globals;

  async function answered(
    method: string,
    path: string,
    query: Query,
    body?: unknown,
    etag?: string,
    stream?: { lastEventId?: string | undefined; signal: AbortSignal },
  ): Promise<Response> {
    const url = new URL(`${base}${path}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    let response: Response;
    try {
      response = await agent.fetch(url, {
        method,
        headers: {
          accept: stream ? 'text/event-stream' : 'application/json',
          ...(stream?.lastEventId !== undefined && { 'last-event-id': stream.lastEventId }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(etag !== undefined && { 'if-match': etag }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(stream && { signal: stream.signal }),
      });
    } catch (error) {
      throw error instanceof BailiwickError ? tokenRefused(context, identity, error) : error;
    }
    if (!response.ok) throw await refused(identity, response, fields ? (field) => field : optionOf);
    return response;
  }

  async function send<T>(...request: Parameters<typeof answered>): Promise<T> {
    const response = await answered(...request);
    return (response.status === 204 ? undefined : await response.json()) as T;
  }

  return {
    identity,
    async may(scope) {
      try {
        return (await agent.token()).scope.includes(scope);
      } catch (error) {
        throw error instanceof BailiwickError ? tokenRefused(context, identity, error) : error;
      }
    },
    get: (path, query = {}) => send('GET', path, query),
    async getTagged<T>(path: string) {
      const response = await answered('GET', path, {});
      return { body: (await response.json()) as T, etag: response.headers.get('etag') ?? '*' };
    },
    create: (path, body) => send('POST', path, { organization }, body),
    post: (path, body) => send('POST', path, {}, body),
    ask: (path, body) => send('POST', path, { organization }, body),
    patch: (path, body, etag) => send('PATCH', path, {}, body, etag),
    put: (path, body) => send('PUT', path, {}, body),
    delete: (path) => send('DELETE', path, {}),
    stream: (path, query, more) => answered('GET', path, { organization, ...query }, undefined, undefined, more),
    async list<T>(path: string, query: Query = {}, most = Number.POSITIVE_INFINITY) {
      const items: T[] = [];
      let cursor: string | undefined;
      do {
        const limit = Math.min(200, most - items.length);
        const page = await send<{ items: T[]; next_cursor?: string }>('GET', path, {
          organization: ofOrganization(path) ? organization : undefined,
          ...query,
          limit,
          cursor,
        });
        items.push(...page.items);
        cursor = page.next_cursor;
      } while (cursor !== undefined && items.length < most);
      return items;
    },
  };
}

/** What the agent SDK throws: no connection, or no token. Its errors hold nothing secret. */
export function tokenRefused(context: Context, identity: Identity, error: BailiwickError): CliError {
  const { code, message, status, hint } = error;
  if (code === 'network' || code === 'timeout' || (status !== undefined && status >= 500)) {
    const why = /\(([A-Z_]+)\)$/.exec(message)?.[1] ?? (status === undefined ? code : String(status));
    return new CliError('unreachable', `The server at ${identity.issuer} does not answer (${why}).`, {
      hint: `Is it running? \`bailiwick serve\` starts it, \`bailiwick doctor\` looks closer. ${movedHint(context, identity)}`,
    });
  }
  if (code === 'invalid_client') {
    return new CliError('refused', `${identity.issuer} does not accept this identity (${identity.client_id}).`, {
      hint:
        'Its key may have been replaced, or its agent suspended. `bailiwick doctor` looks closer; ' +
        'who holds the server’s data can make a new operator key with `bailiwick operator recover`.',
    });
  }
  const requirements = error instanceof StepUpRequired ? { requirements: error.requirements } : {};
  return new CliError('refused', sentence(message), {
    hint: hint === undefined ? undefined : sentence(hint),
    refusal: { error: code, ...requirements },
  });
}

/** The option by which a field of the admin API is said; a field that has none is named as it is. */
function optionOf(field: string): string {
  const plain = field.replaceAll(/\[\d+\]/g, '');
  const name = Object.keys(options).find((known) => plain === known || plain.startsWith(`${known}.`));
  return name === undefined ? field : (options[name] ?? field);
}

const options: Readonly<Record<string, string>> = {
  expires_at: '--expires',
  'permissions.details': '--details',
  permissions: '--permission',
  'limits.tokens_per_minute': '--tokens-per-minute',
  resources: '--resource',
  operations: '--operation',
  scopes: '--scope',
  scope: '--scope',
  operation: '--operation',
  task: '--task',
  address: '--address',
  at: '--at',
  binding: '--binding',
  'token.lifetime_seconds': '--lifetime',
  'token.alg': '--alg',
  'token.audience': '--audience',
  'token.status_list': '--status-list',
  display_name: '--display-name',
  jwk: 'the key',
  certificate: '--certificate',
  'subject.ca': '--ca',
  subject: '--tls-subject',
  spiffe_id: '--spiffe-id',
  addresses: '--address',
  attributes: '--attribute',
  lifetime_seconds: '--lifetime',
  overlap_seconds: '--overlap',
  owner: '--owner',
  purpose: '--purpose',
  environment: '--environment',
  kind: '--kind',
  description: '--description',
  label: '--label',
  email: '--email',
  reason: '--reason',
  status: '--status',
  since: '--since',
  until: '--until',
  type: '--type',
  types: '--type',
  outcome: '--outcome',
  jti: '--jti',
  trace: '--trace',
  instance: '--instance',
  credential: '--credential',
  person: '--person',
  text: '--text',
  days: '--days',
  'target.kind': '--file',
  'target.format': '--format',
  'target.url': 'the URL',
  'target.host': '--syslog',
  'target.port': '--syslog',
  'target.max_bytes': '--max-bytes',
  'target.ca': '--ca',
  'target.certificate': '--certificate',
  'target.key': '--key',
  'target.secret': '--secret-file',
  'target.headers': '--headers-file',
};

async function refused(identity: Identity, response: Response, named: (field: string) => string): Promise<CliError> {
  const text = await response.text();
  let body: ProblemBody = {};
  try {
    body = JSON.parse(text) as ProblemBody;
  } catch {
    // a proxy's page, say: the status has to do
  }
  const several = body.errors ?? [];
  const [only] = several.length === 1 ? several : [];
  const told =
    only !== undefined && named(only.field) !== only.field ? `${named(only.field)} ${only.message}` : undefined;
  const message = sentence(told ?? body.detail ?? body.title ?? `${identity.issuer} answered ${response.status}`);
  const details = several.length > 1 ? several.map(({ field, message: wrong }) => `${named(field)} ${wrong}`) : [];
  const shown = several.length > 1 ? 'The server does not accept this:' : message;
  switch (response.status) {
    case 401:
    case 403:
      return new CliError('refused', message, {
        status: response.status,
        hint: `Acting as ${identity.client_id}: its roles must allow this. See \`bailiwick agents show ${identity.client_id}\`.`,
      });
    case 404:
      return new CliError('not_found', message);
    case 409:
    case 412:
      return new CliError('conflict', shown, { details });
    case 400:
    case 413:
    case 415:
    case 422:
      return new CliError('usage', shown, { details });
    case 429:
    case 503:
      return new CliError('unreachable', message, { hint: 'Try again in a little while.' });
    default:
      return new CliError('failed', message);
  }
}
