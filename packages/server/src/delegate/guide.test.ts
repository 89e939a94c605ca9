/** The guide docs/guides/pass-on-over-http.md names what there is: every member of a body and every request. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { serviceScopes } from '../web/service.ts';
import { heldQuery, passOnBody } from './body.ts';

const page = readFileSync(new URL('../../../../docs/guides/pass-on-over-http.md', import.meta.url), 'utf8');
const section = (title: string) => page.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
const rowsOf = (text: string) => [...text.matchAll(/^\| (`[^|]*) \|/gm)].map(([, first = '']) => first);

test('the table of members is that of the body', () => {
  const named = rowsOf(section('What is passed on')).flatMap((cell) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  assert.deepEqual(named.toSorted(), Object.keys(passOnBody.shape).sort());
});

test('what it shows is a body, and the parameters and the scope that it names are there', () => {
  const [, body = ''] = /POST \/mandates\n(\{[\s\S]*?)\n```/.exec(page) ?? [];
  const id = '01hzzzzzzzzzzzzzzzzzzzzzzz';
  assert.ok(passOnBody.safeParse(JSON.parse(body.replaceAll('_…', `_${id}`))).success, body);
  for (const name of Object.keys(heldQuery.shape)) assert.ok(page.includes(`\`${name}\``), name);
  assert.ok('mandates:pass' in serviceScopes && page.includes('scope=mandates:pass'));
});
