import { openApiDocument } from '../../packages/server/src/admin/openapi.ts';
import { cell, prose } from './markdown.ts';

type Json = Record<string, unknown>;

interface Operation {
  operationId: string;
  summary: string;
  description?: string;
  tags: string[];
  security: [{ oauth2: string[] }];
  parameters: (
    | { $ref: string }
    | { name: string; in: string; required: boolean; description?: string; schema: Json }
  )[];
  requestBody?: { content: Record<string, { schema: Json }> };
  responses: Record<string, { description?: string; content?: Record<string, { schema: Json }> }>;
}

/** docs/reference/http-api.md */
export function httpApiReference(): string {
  const document = openApiDocument({ issuer: 'http://localhost:8455' });
  const paths = document.paths as Record<string, Record<string, Operation>>;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const groups = Map.groupBy(operations, ({ operation }) => operation.tags[0] ?? '');
  const lines = [
    '# The admin API',
    '',
    '<!-- Made by `npm run docs` from packages/server/src/admin. Change it there. -->',
    '',
    'Every path below stands behind `<issuer>/admin/v1`. The whole description, for programs, is at `<issuer>/openapi.json`',
    '(OpenAPI 3.1), made from the same schemas that validate what is sent.',
    '',
    '- **Access**: a DPoP-bound token for the resource `<issuer>/admin`, with the scopes that stand at each operation.',
    '- **Organization**: lists show one organization and new things are made in one, that of the caller unless',
    '  `?organization=` names another that is within reach.',
    '- **Lists** answer `{"items": […], "next_cursor": "…"}`; `?limit=` (at most 200) and `?cursor=` page through them.',
    '- **Writes** with an `Idempotency-Key` happen once, however often they are sent.',
    '- **Changes** (`PATCH`) are JSON Merge Patches (RFC 7396); `If-Match` with the `ETag` that was read refuses one that',
    '  would overwrite somebody else’s.',
    '- **Errors** are problem details (RFC 9457): `{"type", "title", "status", "detail", "errors": [{"field", "message"}]}`.',
    '',
  ];
  for (const [tag, members] of groups) {
    lines.push(`## ${tag}`, '');
    for (const { path, method, operation } of members) lines.push(...section(path, method, operation));
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function section(path: string, method: string, operation: Operation): string[] {
  const { summary, description, security, parameters, requestBody } = operation;
  const lines = [`### ${summary}`, '', `\`${method} ${path}\``, ''];
  if (description !== undefined) lines.push(prose(description), '');
  lines.push(`Scopes: ${security[0].oauth2.map((scope) => `\`${scope}\``).join(' ')}`, '');
  const query = parameters.filter((one) => 'in' in one && one.in === 'query' && !/^(limit|cursor)$/.test(one.name));
  if (query.length > 0) {
    const rows = query.map((one) => ('in' in one ? row(one.name, one.schema, one.required, one.description) : ''));
    lines.push('| filter | | |', '|---|---|---|', ...rows, '');
  }
  const body = Object.values(requestBody?.content ?? {})[0]?.schema;
  if (body !== undefined) lines.push(...members('member', body), '');
  const [status, response] = Object.entries(operation.responses).find(([code]) => code.startsWith('2')) ?? [];
  const answer = Object.values(response?.content ?? {})[0]?.schema;
  if (answer === undefined) lines.push(`Answers ${status}.`, '');
  else if (method === 'POST' && status === '201')
    lines.push(`Answers ${status}:`, '', ...members('member', answer), '');
  else lines.push(`Answers ${status}.`, '');
  return lines;
}

function members(title: string, schema: Json): string[] {
  if (schema.oneOf !== undefined) return alternatives(title, schema.oneOf as Json[]);
  const properties = (schema.properties ?? {}) as Record<string, Json>;
  const required = new Set((schema.required as string[] | undefined) ?? []);
  const rows = Object.entries(properties).map(([name, one]) =>
    row(name, one, required.has(name), one.description as string),
  );
  return rows.length === 0 ? [] : [`| ${title} | | |`, '|---|---|---|', ...rows];
}

/** A body that is one of several shapes, told apart by a constant member: what they share, then what each has of its own. */
function alternatives(title: string, shapes: readonly Json[]): string[] {
  const properties = shapes.map((shape) => shape.properties as Record<string, Json>);
  const [first = {}] = properties;
  const same = (name: string) => properties.every((one) => JSON.stringify(one[name]) === JSON.stringify(first[name]));
  const shared = Object.keys(first).filter(same);
  const only = (shape: Json, names: (name: string) => boolean) => ({
    ...shape,
    properties: Object.fromEntries(Object.entries(shape.properties as Json).filter(([name]) => names(name))),
  });
  const [tag = ''] = Object.entries(first).find(([, one]) => one.const !== undefined) ?? [];
  return [
    ...members(
      title,
      only(shapes[0] as Json, (name) => shared.includes(name)),
    ),
    ...shapes.flatMap((shape, index) => {
      const needed = ((shape.required as string[] | undefined) ?? []).includes(tag);
      const own = members(
        title,
        only(shape, (name) => name !== tag && !shared.includes(name)),
      );
      return [
        '',
        `\`"${tag}": ${JSON.stringify(properties[index]?.[tag]?.const)}\`${needed ? '' : ', or none'}:`,
        '',
        ...own,
      ];
    }),
  ];
}

function row(name: string, schema: Json, required: boolean, description = ''): string {
  const fallback = schema.default === undefined ? '' : ` Default: \`${JSON.stringify(schema.default)}\`.`;
  const text = cell(`${description}${fallback}`);
  return `| \`${name}\`${required ? '' : ' (optional)'} | ${typeOf(schema)} | ${text} |`;
}

function typeOf(schema: Json): string {
  const choices = schema.enum as unknown[] | undefined;
  if (choices !== undefined) return choices.map((choice) => `\`${choice}\``).join(', ');
  const alternatives = (schema.anyOf ?? schema.oneOf) as Json[] | undefined;
  if (alternatives !== undefined) return [...new Set(alternatives.map(typeOf))].join(' or ');
  if (schema.type === 'array') return `list of ${typeOf((schema.items ?? {}) as Json)}`;
  if (schema.type === 'object') {
    const names = Object.keys((schema.properties ?? {}) as Json);
    return names.length > 0 ? `{${names.join(', ')}}` : 'object';
  }
  if (schema.format === 'date-time') return 'time';
  return String(schema.type ?? 'anything');
}
