/** What the command line says of mandates. */
import type { TokenContext } from '@bailiwick/protocol';
import type { Context } from './command.ts';
import { contextInWords } from './context-options.ts';
import { fields, painter, printable, type Style, shortTime } from './output.ts';

export interface Mandate {
  id: string;
  organization: string;
  person: string;
  agent: string;
  instance?: string;
  parent?: string;
  name?: string;
  resources: NamedPower[];
  context?: TokenContext;
  task?: { id?: string; workflow?: string; environment?: string };
  limits?: {
    uses?: number;
    amounts?: { type: string; amount: string; unit?: { at: string; is: string }; total: number }[];
  };
  passing: { depth: number; to?: string[] };
  given: { way: string; by: string; text?: string; language?: string };
  status: 'active' | 'paused' | 'stopped' | 'expired' | 'ended';
  stopped_by?: string;
  ledger: { counter: string; spent: number; most: number }[];
  created_at: string;
  expires_at: string;
  ended_at?: string;
}

export type NameOf = (id: string) => string;

export const styleOf = ({ status }: Pick<Mandate, 'status'>): Style =>
  status === 'active' ? 'green' : status === 'paused' || status === 'stopped' ? 'yellow' : 'dim';

/** How it stands, and by what. */
export const statusInWords = ({ status, stopped_by }: Mandate, nameOf: NameOf): string =>
  stopped_by === undefined ? status : `${status} by ${nameOf(stopped_by)}`;

/** What may be done, a line for each resource. */
export const powerInWords = ({ resources }: { resources: readonly NamedPower[] }): string[] =>
  resources.map(({ resource, scope, operations = [], authorization_details: details = [] }) =>
    [
      `${resource}:`,
      ...(scope === undefined ? [] : [scope]),
      ...operations,
      ...details.map((each) => JSON.stringify(each)),
    ].join(' '),
  );

interface NamedPower {
  resource: string;
  scope?: string;
  /** Only where somebody names them: a mandate has them as details. */
  operations?: string[];
  authorization_details?: object[];
}

/** What is left of what it limits, each in a few words. */
export const leftInWords = ({ ledger, limits }: Mandate): string[] =>
  ledger.map(({ counter, spent, most }) => {
    const left = Math.round((most - spent) * 1e6) / 1e6;
    const amount = limits?.amounts?.[Number(/^amount:(\d+)$/.exec(counter)?.[1])];
    const of = amount ? `${amount.unit ? ` ${amount.unit.is}` : ''} of ${amount.type}` : ` ${counter}`;
    return `${left} of ${most}${of} left`;
  });

/** All that is known of one. */
export function mandateInWords(context: Context, mandate: Mandate, nameOf: NameOf): string {
  const { given, passing, task, instance, parent } = mandate;
  const to = passing.to === undefined ? '' : `, to ${passing.to.map(nameOf).join(', ')}`;
  return fields(context, [
    ['id', mandate.id],
    ['name', mandate.name],
    ['for', `${nameOf(mandate.person)} (${mandate.person})`],
    ['agent', nameOf(mandate.agent)],
    ['instance', instance],
    ['passed on from', parent],
    ['status', statusInWords(mandate, nameOf)],
    ['may', powerInWords(mandate).join('\n')],
    ['used', mandate.context && contextInWords(mandate.context)],
    [
      'task',
      task &&
        Object.entries(task)
          .map(([name, value]) => `${name} ${value}`)
          .join(', '),
    ],
    ['left', leftInWords(mandate).join('\n') || undefined],
    ['passing on', passing.depth === 0 ? 'not at all' : `${passing.depth} deep${to}`],
    ['given', `${given.way.replace('_', ' ')}, written down by ${nameOf(given.by)}`],
    ['seen', given.text === undefined ? undefined : `${given.text}${given.language ? ` (${given.language})` : ''}`],
    ['created', shortTime(mandate.created_at)],
    ['expires', shortTime(mandate.expires_at)],
    ['ended', mandate.ended_at === undefined ? undefined : shortTime(mandate.ended_at)],
  ]);
}

/** Who passed what to whom: each below the one that it came from. */
export function treeInWords(context: Context, mandates: readonly Mandate[], nameOf: NameOf): string {
  const ids = new Set(mandates.map(({ id }) => id));
  const below = Map.groupBy(mandates, ({ parent }) => (parent !== undefined && ids.has(parent) ? parent : 'root'));
  const drawn = (mandate: Mandate, indent: string, branch: string, rest: string): string[] => {
    const children = below.get(mandate.id) ?? [];
    const inner = `${indent}${rest}`;
    return [
      `${indent}${branch}${lineOf(context, mandate, nameOf)}`,
      ...[...powerInWords(mandate), ...leftInWords(mandate)].map(
        (line) => `${inner}${children.length > 0 ? '│' : ' '}    ${printable(line)}`,
      ),
      ...children.flatMap((child, at) =>
        at === children.length - 1 ? drawn(child, inner, '└─ ', '   ') : drawn(child, inner, '├─ ', '│  '),
      ),
    ];
  };
  return (below.get('root') ?? []).flatMap((top) => drawn(top, '', '', '')).join('\n');
}

function lineOf(context: Context, mandate: Mandate, nameOf: NameOf): string {
  const { id, agent, instance, expires_at, ended_at, passing } = mandate;
  const status = painter(context.io)(styleOf(mandate), statusInWords(mandate, nameOf));
  const until = ended_at === undefined ? `until ${shortTime(expires_at)}` : `at ${shortTime(ended_at)}`;
  const deeper = passing.depth === 0 ? '' : `, ${passing.depth} deeper`;
  return `${printable(nameOf(agent))}${instance === undefined ? '' : ` ${instance}`}  ${status} ${until}${deeper}  ${id}`;
}
