/** What is remembered never differs from what Cedar says when it is asked afresh, about everything at once. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { comparisons, condition, statement } from '../testing/generated-policies.ts';
import { request, requests } from '../testing/generated-requests.ts';
import { plainQuestion } from '../testing/plain-question.ts';
import { type Cedar, openCedar } from './cedar.ts';
import { readStatements } from './document.ts';
import { createPolicyEngine, type PolicySource } from './engine.ts';
import type { PolicyAnswer, PolicyDecision, PolicyRequest } from './request.ts';
import { policySchema } from './schema.ts';

const ours = openCedar();
/**
 * Statements that the schema would refuse are those that fail while they are evaluated: here they are let through.
 * @param most that is remembered
 */
const lenientEngine = (most: number) =>
  createPolicyEngine(ours, most, function* (cedar, words, sources) {
    return sources.map((source) => ({ statements: readStatements(cedar, words, source), warnings: [] }));
  });

interface Written {
  name: string;
  effect: 'permit' | 'forbid';
  stepUp: string | undefined;
  mode: PolicySource['mode'];
  text: string;
}

const written = fc
  .array(fc.tuple(statement, fc.constantFrom('enforce' as const, 'enforce' as const, 'observe' as const)), {
    minLength: 1,
    maxLength: 9,
  })
  .map((all) =>
    all.map(([{ effect, stepUp, text }, mode], at): Written => {
      const lifts = effect === 'forbid' ? stepUp : undefined;
      const annotations = `@id("s${at}")${lifts === undefined ? '' : ` @step_up("${lifts}")`}`;
      return { name: `p${at}/s${at}`, effect, stepUp: lifts, mode, text: `${annotations} ${effect}${text}` };
    }),
  );

suite('remembered and fresh', () => {
  const cedar = ours.call((module) => module);
  const parsed = cedar.preparseSchema('published', policySchema);
  assert.equal(parsed.type, 'success');

  test('are the same, for any policies and any requests', () => {
    // little enough to be forgotten now and then
    const lenient = lenientEngine(400);
    const seen = { allow: 0, deny: 0, step_up: 0, errors: 0, observed: 0 };
    fc.assert(
      fc.property(written, requests, (statements, asked) => {
        const set = lenient.compile(
          statements.map(({ name, text, mode }) => ({ name: name.split('/')[0] as string, text, mode })),
          '1',
        );
        keep(cedar, 'all', statements);
        keep(
          cedar,
          'enforced',
          statements.filter(({ mode }) => mode === 'enforce'),
        );
        for (const each of asked) {
          const expected = fresh(cedar, 'enforced', statements, each);
          const all = fresh(cedar, 'all', statements, each);
          const answer = lenient.evaluate(set, each);
          compare(answer, expected);
          assert.equal(answer.observed?.decision, all.decision === expected.decision ? undefined : all.decision);
          if (answer.observed !== undefined) seen.observed += 1;
          if (expected.errors.length > 0) seen.errors += 1;
          seen[expected.decision] += 1;
        }
      }),
      { numRuns: 100, endOnFailure: true, includeErrorInReport: true },
    );
    for (const [what, times] of Object.entries(seen))
      assert.ok(times > 10, `${what}: ${times} times, of ${JSON.stringify(seen)}`);
  });
});

suite('a comparison by itself', () => {
  test('is remembered by what tells its outcomes apart', () => {
    const cedar = ours.call((module) => module);
    const lenient = lenientEngine(100_000);
    const conditions = fc.array(condition, { minLength: 100, maxLength: 100 });
    fc.assert(
      fc.property(conditions, fc.array(request, { minLength: 60, maxLength: 60 }), (generated, asked) => {
        const all = [...comparisons, ...generated];
        const texts = all.map((body, at) => `@id("s${at}") permit(principal, action, resource) when { ${body} };`);
        const nameOf = (at: number) => `p${at % 8}/s${at}`;
        const sources = Array.from({ length: 8 }, (_, part): PolicySource => {
          return { name: `p${part}`, text: texts.filter((_, at) => at % 8 === part).join('\n'), mode: 'enforce' };
        });
        const set = lenient.compile(sources, '1');
        keep(
          cedar,
          'comparisons',
          texts.map((text, at) => ({ name: nameOf(at), text })),
        );
        for (const each of asked) {
          const answer = cedar.statefulIsAuthorized({ ...plainQuestion(each), preparsedPolicySetId: 'comparisons' });
          assert.ok(answer.type === 'success');
          const { reason, errors } = answer.response.diagnostics;
          const satisfied = new Set(reason);
          const failed = new Set(errors.map(({ policyId }) => policyId));
          for (const { policy, outcome } of lenient.explain(set, each).statements) {
            const expected = failed.has(policy) ? 'error' : satisfied.has(policy) ? 'satisfied' : 'not_satisfied';
            if (outcome !== expected)
              assert.fail(`${texts[Number(policy.slice('p0/s'.length))]}: ${outcome}, not ${expected}`);
          }
        }
      }),
      { numRuns: 3, endOnFailure: true, includeErrorInReport: true },
    );
  });
});

function keep(cedar: Cedar, id: string, statements: readonly Pick<Written, 'name' | 'text'>[]): void {
  const staticPolicies = Object.fromEntries(statements.map(({ name, text }) => [name, text]));
  const answer = cedar.preparsePolicySet(id, { staticPolicies });
  assert.equal(answer.type, 'success', JSON.stringify(answer));
}

type Fresh = Pick<PolicyDecision, 'decision' | 'requirements'> & {
  determining: string[];
  errors: { policy: string; message: string }[];
};

function fresh(cedar: Cedar, id: string, statements: readonly Written[], request: PolicyRequest): Fresh {
  const answer = cedar.statefulIsAuthorized({
    ...plainQuestion(request),
    preparsedPolicySetId: id,
    preparsedSchemaName: 'published',
    validateRequest: true,
  });
  if (answer.type === 'failure') throw new Error(answer.errors.map(({ message }) => message).join('; '));
  const { decision, diagnostics } = answer.response;
  const errors = diagnostics.errors.map(({ policyId, error }) => ({ policy: policyId, message: error.message }));
  const reasons = statements.filter(({ name }) => diagnostics.reason.includes(name));
  // of what forbids, that which nothing would lift
  const final = decision === 'deny' ? reasons.filter((each) => each.stepUp === undefined) : [];
  const determining = (final.length > 0 ? final : reasons).map(({ name }) => name);
  if (errors.length > 0) return { decision: 'deny', requirements: [], determining, errors };
  const stepUp = decision === 'deny' && reasons.length > 0 && final.length === 0;
  if (!stepUp) return { decision, requirements: [], determining, errors };
  const types = [...new Set(reasons.map((each) => each.stepUp as 'approval' | 'task'))];
  return { decision: 'step_up', requirements: types.map((type) => ({ type })), determining, errors };
}

function compare(answer: PolicyAnswer, expected: Fresh): void {
  const byPolicy = (a: { policy: string }, b: { policy: string }) => a.policy.localeCompare(b.policy);
  assert.deepEqual([...answer.errors].sort(byPolicy), expected.errors.sort(byPolicy));
  assert.equal(answer.decision, expected.decision);
  if (expected.errors.length > 0) return;
  assert.deepEqual(
    answer.determining.map(({ policy }) => policy),
    expected.determining,
  );
  assert.deepEqual(answer.requirements, expected.requirements);
}
