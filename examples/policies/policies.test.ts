/** The gallery keeps its word: every policy can be read, and all of its cases come out as they say. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { parse } from 'yaml';
import { parseCases, runCases } from '../../packages/server/src/policy/cases.ts';
import { loadPolicyEngine } from '../../packages/server/src/policy/engine.ts';
import { starterPolicies } from '../../packages/server/src/policy/starter.ts';

const here = import.meta.dirname;
const gallery = globSync('*.cedar', { cwd: here }).toSorted();
const engine = await loadPolicyEngine();

suite('the gallery of policies', () => {
  test('has eight, each with cases of its own, and its page names them all', () => {
    assert.equal(gallery.length, 8);
    const page = readFileSync(path.join(here, 'README.md'), 'utf8');
    for (const file of gallery) {
      assert.ok(existsSync(path.join(here, file.replace('.cedar', '.cases.yaml'))), file);
      assert.ok(page.includes(`(${file})`), `README.md says nothing of ${file}`);
    }
  });

  for (const file of gallery) {
    const name = file.replace('.cedar', '');
    test(`${name} decides as its cases say`, () => {
      const text = readFileSync(path.join(here, file), 'utf8');
      const sources = [...starterPolicies, { name, text }].map((source) => ({ ...source, mode: 'enforce' as const }));
      const cases = parseCases(parse(readFileSync(path.join(here, `${name}.cases.yaml`), 'utf8')));
      const outcomes = runCases(engine, engine.compile(sources, 'gallery'), cases);
      assert.ok(outcomes.length >= 3);
      for (const outcome of outcomes) assert.deepEqual(outcome.differences, [], outcome.name);
      // a case that nothing decides would prove nothing: both answers are there
      const answers = new Set(outcomes.map(({ answer }) => answer.decision === 'allow'));
      assert.equal(answers.size, 2, 'cases for yes and for no');
    });
  }
});
