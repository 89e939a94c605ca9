/** The guide docs/guides/pass-on-over-http.md names what there is: every member of a body and every request. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { serviceScopes } from '../web/service.ts';
import { askBody, grantBody, heldQuery, passOnBody, requestsQuery } from './body.ts';

const page = readFileSync(new URL('../../../../docs/guides/pass-on-over-http.md', import.meta.url), 'utf8');
const section = (title: string) => page.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
const rowsOf = (text: string) => [...text.matchAll(/^\| (`[^|]*) \|/gm)].map(([, first = '']) => first);

for (const [title, body] of [
  ['What is passed on', passOnBody],
  ['Asking and granting', askBody],
] as const) {
  test(`the table of members is that of the body: ${title}`, () => {
    const named = rowsOf(section(title)).flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name));
    assert.deepEqual(named.toSorted(), Object.keys(body.shape).sort());
  });
}

test('what it shows is a body, and the parameters and the scope that it names are there', () => {
  const id = '01hzzzzzzzzzzzzzzzzzzzzzzz';
  for (const [path, schema] of [
    ['', passOnBody],
    ['/requests', askBody],
    ['/requests/mrq_…/grant', grantBody],
  ] as const) {
    const [, body = ''] = new RegExp(`POST /mandates${path}\\n(\\{[\\s\\S]*?)\\n\`\`\``).exec(page) ?? [];
    assert.ok(schema.safeParse(JSON.parse(body.replaceAll('_…', `_${id}`))).success, body);
  }
  for (const name of Object.keys({ ...heldQuery.shape, ...requestsQuery.shape }))
    assert.ok(page.includes(`\`${name}\``), name);
  assert.ok('mandates:pass' in serviceScopes && page.includes('scope=mandates:pass'));
});
