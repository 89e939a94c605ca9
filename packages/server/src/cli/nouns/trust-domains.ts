import { readFileSync } from 'node:fs';
import path from 'node:path';
import { openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { CliError, exitCodes } from '../errors.ts';
import { asJson } from '../identity.ts';
import { confirm } from '../io.ts';
import { findTrustDomain } from '../names.ts';
import { fields, printable, shortTime, show, table } from '../output.ts';
import type { TrustDomain } from '../registry.ts';

const argument = { name: 'trust-domain', description: 'The name or id of a trust domain.' } as const;

const endpointOptions = {
  url: {
    value: 'URL',
    description: 'Where its bundle is: an https URL, such as https://id.partner.example/spiffe/bundle.',
  },
  'spiffe-id': {
    value: 'ID',
    description:
      'Who answers there, known by an X.509-SVID (https_spiffe). Without: by a certificate of the Web (https_web).',
  },
  bundle: {
    value: 'FILE',
    description:
      'A bundle that you got by other means. Needed with --spiffe-id, and without --url; then it stays as it is.',
  },
} as const;

const list = command({
  name: 'trust-domains list',
  summary: 'List the foreign trust domains whose identities are accepted.',
  examples: [{ command: 'bailiwick trust-domains list', does: 'All of them, and how fresh their bundles are' }],
  async run(context) {
    const items = await openApi(context).list<TrustDomain>('/trust-domains');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          {
            title: 'BUNDLE',
            value: ({ status }) => status,
            style: ({ status }) => (status === 'current' ? 'green' : 'yellow'),
          },
          { title: 'PROFILE', value: ({ bundle_endpoint }) => bundle_endpoint?.profile ?? 'by hand' },
          { title: 'CONFIRMED', value: ({ confirmed_at }) => shortTime(confirmed_at) || 'never' },
          { title: 'FAULT', value: ({ fault }) => fault ?? '' },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No foreign trust domains. `bailiwick trust-domains create --help` shows how to register one.',
      ),
    );
  },
});

const showOne = command({
  name: 'trust-domains show',
  summary: 'Show a foreign trust domain: where its bundle comes from, and what is in it.',
  arguments: [argument],
  examples: [
    { command: 'bailiwick trust-domains show partner.example', does: 'Its authorities, and when they were confirmed' },
  ],
  async run(context, [name]) {
    showDomain(context, await findTrustDomain(openApi(context), name));
  },
});

const create = command({
  name: 'trust-domains create',
  summary: 'Accept identities of another trust domain. Which agent each of them is, say its credentials.',
  description:
    'Its bundle is fetched at once, and then as often as it says; one that its endpoint has not confirmed for a day is believed no more. ' +
    'Then `bailiwick credentials add AGENT --spiffe-id ID` says whom an identity stands for.',
  arguments: [{ name: 'name', description: 'Its name: what stands behind spiffe:// in its identities.' }],
  options: endpointOptions,
  examples: [
    {
      command: 'bailiwick trust-domains create partner.example --url https://id.partner.example/spiffe/bundle',
      does: 'The Web’s authorities say who answers',
    },
    {
      command:
        'bailiwick trust-domains create partner.example --url https://id.partner.example:8456/spiffe/bundle --spiffe-id spiffe://partner.example/_bailiwick/server --bundle partner.json',
      does: 'Its own authorities do',
    },
  ],
  async run(context, [name], options) {
    const body = { name, ...bodyOf(context, options) };
    if (options.url === undefined && options.bundle === undefined) {
      throw new CliError('usage', 'Say where its bundle is (--url), or give it (--bundle).', {
        hint: 'See `bailiwick trust-domains create --help`.',
      });
    }
    const made = await openApi(context).create<TrustDomain>('/trust-domains', body);
    show(context, made, () => {
      const first = `Identities of ${made.name} (${made.id}) are accepted where a credential names them.`;
      if (made.fault === undefined) return `${first} Its bundle is there.`;
      return `${first} But its bundle could not be fetched, which is tried again: ${made.fault}.`;
    });
  },
});

const update = command({
  name: 'trust-domains update',
  summary: 'Change where the bundle of a trust domain comes from, or give it by hand.',
  description: 'A bundle that you give replaces the one that is known, even if its number is smaller.',
  arguments: [argument],
  options: {
    ...endpointOptions,
    web: { description: 'Know the endpoint by a certificate of the Web from now on (https_web).' },
  },
  examples: [
    {
      command: 'bailiwick trust-domains update partner.example --url https://new.partner.example/spiffe/bundle',
      does: 'Its endpoint has moved',
    },
  ],
  async run(context, [name], { web, ...options }) {
    const api = openApi(context);
    const body = bodyOf(context, options);
    if (web) body.bundle_endpoint = { ...body.bundle_endpoint, profile: 'https_web', spiffe_id: null };
    if (Object.keys(body).length === 0) {
      throw new CliError('usage', 'Nothing to change was named.', {
        hint: 'See `bailiwick trust-domains update --help`.',
      });
    }
    const domain = await findTrustDomain(api, name);
    showDomain(context, await api.patch<TrustDomain>(`/trust-domains/${domain.id}`, body));
  },
});

const refresh = command({
  name: 'trust-domains refresh',
  summary: 'Fetch the bundle of a trust domain now, instead of when it is due.',
  description: 'It ends with 1 if no bundle could be fetched: then what was believed before is believed until its end.',
  arguments: [argument],
  examples: [{ command: 'bailiwick trust-domains refresh partner.example', does: 'An authority of theirs was stolen' }],
  async run(context, [name]) {
    const api = openApi(context);
    const domain = await findTrustDomain(api, name);
    const after = await api.post<TrustDomain>(`/trust-domains/${domain.id}/refresh`);
    showDomain(context, after);
    if (after.fault === undefined) return exitCodes.ok.code;
    const todo =
      'Look at its endpoint and at outbound.… in the configuration, then refresh again; or `bailiwick trust-domains update NAME --bundle FILE`.';
    context.io.err(`No bundle could be fetched: ${printable(after.fault)}\n${todo}\n`);
    return exitCodes.failed.code;
  },
});

const remove = command({
  name: 'trust-domains remove',
  summary: 'Accept identities of a trust domain no more. What rests on them ends at once.',
  arguments: [argument],
  options: { yes, reason: { value: 'TEXT', description: 'Why, for the log.' } },
  examples: [{ command: 'bailiwick trust-domains remove partner.example --yes', does: 'Without being asked' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const domain = await findTrustDomain(api, name);
    await confirm(
      context.io,
      `This ends every credential with an identity of ${domain.name}, its tokens and its instances.`,
      options.yes,
    );
    await api.post(`/trust-domains/${domain.id}/remove`, { reason: options.reason });
    show(context, { id: domain.id }, () => `Identities of ${domain.name} are accepted no more.`);
  },
});

export const trustDomainCommands = [list, showOne, create, update, refresh, remove];

interface Body {
  bundle_endpoint?: { url?: string; profile?: string; spiffe_id?: string | null };
  bundle?: unknown;
}

function bodyOf(
  { io }: Context,
  options: { url: string | undefined; 'spiffe-id': string | undefined; bundle: string | undefined },
): Body {
  const { url, bundle } = options;
  const spiffeId = options['spiffe-id'];
  const endpoint = {
    ...(url !== undefined && { url }),
    ...(spiffeId !== undefined && { profile: 'https_spiffe', spiffe_id: spiffeId }),
  };
  return {
    ...(Object.keys(endpoint).length > 0 && { bundle_endpoint: endpoint }),
    ...(bundle !== undefined && { bundle: bundleIn(path.resolve(io.cwd, bundle)) }),
  };
}

/** @throws CliError (usage) that names the file */
function bundleIn(file: string): unknown {
  const hint = 'It must be a SPIFFE bundle: what /spiffe/bundle of the other server answers.';
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError('usage', `${file} can't be read (${(error as NodeJS.ErrnoException).code}).`, { hint });
  }
  const bundle = asJson(text);
  if (bundle === undefined) throw new CliError('usage', `${file} is not JSON.`, { hint });
  return bundle;
}

function showDomain(context: Context, domain: TrustDomain): void {
  const { bundle, bundle_endpoint: from } = domain;
  show(context, domain, () =>
    fields(context, [
      ['name', domain.name],
      ['id', domain.id],
      ['bundle', domain.status],
      ['endpoint', from === undefined ? 'none: the bundle was given by hand' : `${from.url} (${from.profile})`],
      ['known as', from?.spiffe_id],
      ['number', bundle?.sequence === undefined ? undefined : String(bundle.sequence)],
      ['X.509 authorities', bundle?.x509_authorities.join('\n')],
      ['JWT authorities', bundle?.jwt_authorities.join('\n')],
      ['confirmed', shortTime(domain.confirmed_at)],
      ['believed until', shortTime(domain.stale_at)],
      ['fetched next', shortTime(domain.refresh_at)],
      ['fault', domain.fault],
    ]),
  );
}
