// Decisions by policy, one at a time: no HTTP, no database, nothing to wait for. So the time of a call is what it costs the processor, unless
// something else runs on this core meanwhile. The processor's own account is too coarse for one call; it gives the mean.
import assert from 'node:assert/strict';
import { type CedarEngine, openCedar } from '../../packages/server/src/policy/cedar.ts';
import { readStatements } from '../../packages/server/src/policy/document.ts';
import { createPolicyEngine } from '../../packages/server/src/policy/engine.ts';
import type { Source } from '../../packages/server/src/policy/policy-error.ts';
import { wordsOf } from '../../packages/server/src/policy/words.ts';
import { ownCpu, type PolicyFigures, serveCalls } from '../child.ts';
import { benchPolicies, benchRequests } from '../policies.ts';

const agents = 10_000;
const warmup = 20_000;

/** Microseconds. */
const now = (): number => Number(process.hrtime.bigint()) / 1000;

function policy({ rounds, count }: { rounds: number; count: number }): PolicyFigures {
  const sources = benchPolicies().map(({ name, text }) => ({ name, text, mode: 'enforce' as const }));
  const figures: PolicyFigures = {
    policies: sources.length,
    agents,
    loadMs: 0,
    compileMs: [],
    cold: [],
    p50: [],
    p99: [],
    mean: [],
    hitRate: [],
    slice: 0,
    decisions: {},
  };

  const beforeLoad = now();
  const cedar = openCedar();
  figures.loadMs = (now() - beforeLoad) / 1000;
  assert.deepEqual([sources.length, readersOf(cedar, sources)], [200, 40]);
  assertAddressesAreNew(count);

  for (let round = 0; round < rounds; round += 1) {
    // nothing remembered, and not the code that the last round has made fast
    const engine = createPolicyEngine(cedar);
    const beforeCompile = now();
    const set = engine.compile(sources, `bench/${round}`);
    figures.compileMs.push((now() - beforeCompile) / 1000);
    const next = benchRequests(agents, round + 1);

    const first = next();
    const beforeFirst = now();
    engine.evaluate(set, first);
    figures.cold.push(now() - beforeFirst);
    for (let i = 0; i < Math.min(warmup, 2 * count); i += 1) engine.evaluate(set, next());

    const spent = new Float64Array(count);
    let [done, hits, cpu] = [0, 0, 0];
    while (done < count) {
      const requests = Array.from({ length: Math.min(1000, count - done) }, next);
      const answers: string[] = [];
      const cpuBefore = ownCpu();
      for (const request of requests) {
        const { asked } = engine.counts(set);
        const before = now();
        const answer = engine.evaluate(set, request);
        spent[done] = now() - before;
        done += 1;
        if (engine.counts(set).asked === asked) hits += 1;
        answers.push(answer.errors.length > 0 ? 'error' : answer.decision);
      }
      cpu += ownCpu() - cpuBefore;
      for (const answer of answers) figures.decisions[answer] = (figures.decisions[answer] ?? 0) + 1;
    }
    assert.equal(figures.decisions.error, undefined);
    const { asked, remembered } = engine.counts(set);
    figures.slice = (asked + remembered) / (1 + Math.min(warmup, 2 * count) + count);
    spent.sort();
    figures.p50.push(spent[Math.floor(count * 0.5)] as number);
    figures.p99.push(spent[Math.floor(count * 0.99)] as number);
    figures.mean.push(cpu / count);
    figures.hitRate.push(hits / count);
  }
  return figures;
}

/** How many statements read the task or the address, as the engine itself reads them. */
function readersOf(cedar: CedarEngine, sources: readonly Source[]): number {
  const words = cedar.call(wordsOf);
  const statements = sources.flatMap((source) => readStatements(cedar, words, source));
  return statements.filter(({ reads: { members } }) => members.has('task') || members.has('address')).length;
}

/** Of as many requests as a round has: no address twice, and no task. */
function assertAddressesAreNew(count: number): void {
  const next = benchRequests(agents, 1);
  const all = 1 + Math.min(warmup, 2 * count) + count;
  const contexts = Array.from({ length: all }, () => next().context);
  assert.equal(new Set(contexts.map(({ address }) => address)).size, all);
  assert.equal(new Set(contexts.map(({ task }) => task?.id)).size, all);
}

serveCalls({ policy });
