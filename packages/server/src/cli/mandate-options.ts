/** What a mandate allows, as options say it. */
import type { Api } from './api.ts';
import type { OptionValues } from './command.ts';
import { contextFrom, contextOptions } from './context-options.ts';
import { CliError } from './errors.ts';
import { findAgent } from './names.ts';
import { permissionsFrom } from './permission-options.ts';
import { inOrder, instant, pair, wholeNumber } from './values.ts';

export const mandateOptions = {
  permission: {
    value: 'RESOURCE=SCOPE,…',
    many: true,
    description: 'Scopes on a resource: travel=trips:book,trips:read.',
  },
  details: {
    value: 'RESOURCE=JSON',
    many: true,
    description: 'Up to which authorization_details on a resource: \'bank={"type":"payment","amount":100}\'.',
  },
  uses: { value: 'NUMBER', description: 'So many tokens, by it and all that is passed on of it.' },
  total: {
    value: 'TYPE:AT=NUMBER',
    many: true,
    description:
      'What details of a type may come to in total, and where the amount stands in them: payment:/amount=500, or in one unit payment:/amount=500,/currency=EUR.',
  },
  depth: { value: 'NUMBER', description: 'How many times over it may be passed on (default: not at all).' },
  to: { value: 'AGENT', many: true, description: 'To which agents it may be passed on; to any unless said.' },
  task: { value: 'ID', description: 'The one task that it is for.' },
  workflow: { value: 'NAME', description: 'The workflow that it is for: its tokens need a task of that.' },
  environment: { value: 'NAME', description: 'The environment that the task has to say.' },
  expires: { value: 'TIME', description: 'When it ends: 30d, 8h, or such as 2030-01-31T12:00:00Z.' },
  ...contextOptions,
} as const;

export type MandateOptions = OptionValues<typeof mandateOptions>;

/** As much as they say. @throws CliError (usage, not_found) naming the option */
export async function powerFrom(api: Api, options: MandateOptions, now: number): Promise<Record<string, unknown>> {
  const permissions = await permissionsFrom(api, options);
  const limits = limitsFrom(options);
  const to = (await inOrder(options.to, (name) => findAgent(api, name))).map(({ id }) => id);
  const depth = options.depth === undefined ? undefined : wholeNumber('--depth', options.depth, { least: 0, most: 4 });
  const context = contextFrom(options);
  const { task: id, workflow, environment } = options;
  const task = { ...(id && { id }), ...(workflow && { workflow }), ...(environment && { environment }) };
  const passing = { ...(depth !== undefined && { depth }), ...(to.length > 0 && { to }) };
  return {
    ...(permissions.length > 0 && {
      resources: permissions.map(({ resource, scopes, details }) => ({
        resource,
        ...(scopes.length > 0 && { scope: scopes.join(' ') }),
        ...(details.length > 0 && { authorization_details: details }),
      })),
    }),
    ...(Object.keys(limits).length > 0 && { limits }),
    ...(Object.keys(passing).length > 0 && { passing }),
    ...(Object.keys(task).length > 0 && { task }),
    ...(context && { context }),
    ...(options.expires !== undefined && { expires_at: instant('--expires', options.expires, now) }),
  };
}

function limitsFrom({ uses, total }: Pick<MandateOptions, 'uses' | 'total'>): Record<string, unknown> {
  const amounts = total.map((text) => {
    const shape = 'TYPE:AT=NUMBER, such as payment:/amount=500 or payment:/amount=500,/currency=EUR';
    const [what, rest] = pair('--total', text, shape);
    const [, type, amount] = /^([^:]+):(\/.+)$/.exec(what) ?? [];
    const [, most, at, is] = /^(\d+(?:\.\d+)?)(?:,(\/[^=]+)=(.+))?$/.exec(rest) ?? [];
    if (type === undefined || most === undefined) {
      throw new CliError('usage', `--total "${text}" isn't understood: it reads ${shape}.`);
    }
    return { type, amount, ...(at !== undefined && { unit: { at, is } }), total: Number(most) };
  });
  return {
    ...(uses !== undefined && { uses: wholeNumber('--uses', uses, { most: 1_000_000_000 }) }),
    ...(amounts.length > 0 && { amounts }),
  };
}
