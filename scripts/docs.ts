/**
 * Writes what documentation can be made from code: docs/reference/*, and the snippets in the READMEs and docs/guides, which
 * stand in examples/ and nowhere else. With --check it writes nothing and fails on any difference.
 */
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cliReference } from './docs/cli.ts';
import { configReference } from './docs/config.ts';
import { eventsReference } from './docs/events.ts';
import { httpApiReference } from './docs/http-api.ts';
import { policySchemaReference } from './docs/policy-schema.ts';
import { withSnippets } from './docs/snippets.ts';

const root = path.resolve(import.meta.dirname, '..');
const check = process.argv.includes('--check');

const wanted = new Map<string, string>([
  ['docs/reference/config.md', configReference()],
  ['docs/reference/cli.md', cliReference()],
  ['docs/reference/events.md', eventsReference()],
  ['docs/reference/http-api.md', httpApiReference()],
  ['docs/reference/policy-schema.md', policySchemaReference()],
]);
for (const file of ['README.md', ...globSync(['docs/guides/*.md', 'packages/*/README.md'], { cwd: root })]) {
  const text = read(file);
  if (text !== undefined) wanted.set(file, withSnippets(text, file, read));
}

const stale = [...wanted].filter(([file, text]) => read(file) !== text).map(([file]) => file);
if (check && stale.length > 0) {
  console.error(`Not in step with the code: ${stale.join(', ')}. Run \`npm run docs\` and look at the difference.`);
  process.exitCode = 1;
}
for (const file of check ? [] : stale) {
  mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
  writeFileSync(path.join(root, file), wanted.get(file) ?? '');
  console.log(`wrote ${file}`);
}

function read(file: string): string | undefined {
  const absolute = path.join(root, file);
  return existsSync(absolute) ? readFileSync(absolute, 'utf8') : undefined;
}
