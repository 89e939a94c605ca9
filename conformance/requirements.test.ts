/** REQUIREMENTS.md can't promise what isn't tested: every row names tests, and every test that it names is there. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { assertionRows } from './rejections/assertions.ts';
import { detailsRows } from './rejections/details.ts';
import { proofRows } from './rejections/proofs.ts';
import { requestRows } from './rejections/requests.ts';

const folder = new URL('.', import.meta.url);
const text = readFileSync(new URL('REQUIREMENTS.md', folder), 'utf8');
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| clause'))
  .map((line) => line.split(' | '));
const rejections = new Set(
  [...requestRows, ...assertionRows, ...detailsRows, ...proofRows].map(([sentence]) => sentence),
);

test('every row names a clause, what it asks for, and a test', () => {
  assert.ok(rows.length > 60, `${rows.length} rows`);
  for (const row of rows) {
    assert.equal(row.length, 3, row.join(' | '));
    assert.ok(testsOf(row).length > 0, `no test: ${row.join(' | ')}`);
  }
});

test('every test that is named is there', () => {
  const missing = rows.flatMap(testsOf).filter(({ file, title }) => !isThere(file, title));
  assert.deepEqual(missing, []);
});

test('every file of tests is named', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts') && name !== 'requirements.test.ts');
  const named = new Set(rows.flatMap(testsOf).map(({ file }) => `${file}.test.ts`));
  assert.deepEqual(
    files.filter((name) => !named.has(name)),
    [],
  );
});

function testsOf(row: string[]): { file: string; title: string }[] {
  return [...(row[2] ?? '').matchAll(/`([a-z0-9-]+): ([^`]+)`/g)].map(([, file, title]) => ({
    file: file as string,
    title: title as string,
  }));
}

/** A title stands in its file as it is; that of a table's row is put together from the row's sentence. */
function isThere(file: string, title: string): boolean {
  if (file === 'token-rejections') return rejections.has(title);
  const source = readFileSync(new URL(`${file}.test.ts`, folder), 'utf8');
  if (source.includes(`test('${title}'`) || source.includes(`test(\`${title}\``)) return true;
  if (source.includes(`'${title}',`)) return true; // a row of a table in the file itself
  const sentence = /^are given for (.+)$/.exec(title)?.[1];
  return file === 'tokens' && sentence !== undefined && source.includes(`'${sentence}',`);
}
