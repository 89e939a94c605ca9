// What can be wrong with authorization_details. The resource of these rows has registered no types of its own, so that only `operation`
// could be right, and it has no operations. RFC 9396 §2, §5; types, schemas and bounds: `grants/details.test.ts`.
import type { Row } from './row.ts';

const text = (authorization_details: string) => ({ form: { authorization_details } });
const listed = (...all: unknown[]) => text(JSON.stringify(all));
const row = (sentence: string, sent: Row[1]): Row => [
  `authorization_details: ${sentence}`,
  sent,
  400,
  'invalid_authorization_details',
];

export const detailsRows: Row[] = [
  ['authorization_details twice', { form: { authorization_details: ['[]', '[]'] } }, 400, 'invalid_request'],
  ['authorization_details of a megabyte', text(`[${'1,'.repeat(524_288)}1]`), 413, 'invalid_request'],
  row('no JSON', text('[{"type":"operation"')),
  row('JSON with a comma too many', text('[{"type":"operation","actions":["read"]},]')),
  row('an object instead of a list', text('{"type":"operation","actions":["read"]}')),
  row('null', text('null')),
  row('an empty list', listed()),
  row('a list of strings', listed('operation')),
  row('a list in a list', listed([{ type: 'operation' }])),
  row('no type', listed({ actions: ['read'] })),
  row('a type that is no string', listed({ type: ['operation'], actions: ['read'] })),
  row('an empty type', listed({ type: '' })),
  row('a type that is not registered', listed({ type: 'payment_initiation' })),
  row('a type that every object has', listed({ type: 'constructor' })),
  row('a type that is SQL', listed({ type: "' or 1=1 --" })),
  row('an operation detail without actions', listed({ type: 'operation' })),
  row('an operation detail with no action', listed({ type: 'operation', actions: [] })),
  row('an operation detail with a member of its own', listed({ type: 'operation', actions: ['read'], locations: [] })),
  row('an operation that there is not', listed({ type: 'operation', actions: ['read'] })),
  row('an operation whose name is a NUL', listed({ type: 'operation', actions: ['\0'] })),
  row('half of a surrogate pair', text('[{"type":"operation","actions":["\\ud800"]}]')),
  row('__proto__ as a member', text('[{"type":"operation","actions":["read"],"__proto__":{"actions":[]}}]')),
  row('a number without bounds', text('[{"type":"operation","actions":["read"],"x":1e999}]')),
  row('nested a thousand deep', text(`[{"type":"operation","x":${'['.repeat(1000)}${']'.repeat(1000)}}]`)),
  row('51 details', listed(...Array.from({ length: 51 }, (_, i) => ({ type: 'operation', actions: [`${i}`] })))),
  row('17 KB', listed({ type: 'operation', actions: ['x'.repeat(17_000)] })),
];
