import { z } from 'zod';
import { type EventType, eventTypes } from '../../packages/server/src/audit/event.ts';
import { typeOfEvent } from '../../packages/server/src/audit/vocabulary.ts';
import { everywhere, personal } from '../../packages/server/src/audit/vocabulary-members.ts';
import { cell, prose } from './markdown.ts';

/** docs/reference/events.md */
export function eventsReference(): string {
  const types = Object.keys(eventTypes) as EventType[];
  const lines = [
    '# Events of the log',
    '',
    '<!-- Made by `npm run docs` from packages/server/src/audit/vocabulary.ts. Change it there. -->',
    '',
    'One event for each decision, and one for each change, in one log. An event’s leaf is fixed for ever when it is appended: canonical JSON (RFC 8785), in',
    'which what is personal stands only as a commitment. `bailiwick events`, `bailiwick trace` and `GET /admin/v1/events` show the leaf, and beside',
    'it (`personal`) what of its commitments can still be opened.',
    '',
    '## In every event',
    '',
    ...table(everywhere),
    '',
    'What is personal, by field; each type says below which of them it may have:',
    '',
    '| field | |',
    '|---|---|',
    ...Object.entries(personal).map(([name, what]) => `| \`${name}\` | ${cell(what)} |`),
    '',
  ];
  for (const [noun, members] of Map.groupBy(types, (type) => type.split('.')[0] as string)) {
    lines.push(`## ${noun.replaceAll('_', ' ')}`, '');
    for (const type of members) lines.push(...section(type));
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function section(type: EventType): string[] {
  const { says, outcomes, members, decidedOn, personal: fields } = typeOfEvent(type);
  const lines = [`### \`${type}\``, '', prose(says), ''];
  lines.push(`Outcome: ${outcomes.map((one) => `\`${one}\``).join(' or ')}.`);
  if (fields.length > 0) lines.push(`Personal: ${fields.map((one) => `\`${one}\``).join(', ')}.`);
  lines.push('', ...table(members));
  const on = decidedOn ? Object.entries(decidedOn.shape as Record<string, z.ZodType>) : [];
  if (on.length > 0) lines.push(...rows(on, 'decided_on.'));
  return [...lines, ''];
}

const table = (members: Readonly<Record<string, z.ZodType>>): string[] => [
  '| member | | |',
  '|---|---|---|',
  ...rows(Object.entries(members), ''),
];

function rows(members: [string, z.ZodType][], prefix: string): string[] {
  return members
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, schema]) => {
      const optional = schema.safeParse(undefined).success;
      const { description = '', ...json } = z.toJSONSchema(schema, { unrepresentable: 'any', reused: 'inline' });
      return `| \`${prefix}${name}\`${optional ? ' (optional)' : ''} | ${kindOf(json)} | ${cell(String(description))} |`;
    });
}

function kindOf(json: Record<string, unknown>): string {
  if (json.const !== undefined) return `\`${String(json.const)}\``;
  if (Array.isArray(json.enum)) return json.enum.map((one) => `\`${String(one)}\``).join(', ');
  const pattern = /^\^\(([a-z|]{3,})\)_/.exec(String(json.pattern ?? ''))?.[1];
  if (pattern !== undefined)
    return pattern
      .split('|')
      .map((one) => `\`${one}_…\``)
      .join(', ');
  if (json.type === 'array') return `list of ${kindOf((json.items ?? {}) as Record<string, unknown>)}`;
  if (json.type === 'object') {
    const names = Object.keys((json.properties ?? {}) as object);
    return names.length > 0 ? `{${names.join(', ')}${json.additionalProperties === false ? '' : ', …'}}` : 'object';
  }
  if (json.type === 'integer') return 'number';
  if (json.format === 'date-time') return 'time';
  return String(json.type ?? 'anything');
}
