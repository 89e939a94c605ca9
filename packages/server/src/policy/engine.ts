/**
 * Decides by policies: pure, a set and a request in, an answer out. Cedar says of each statement whether it holds; which statements are
 * asked about, what is remembered and how outcomes become an answer is ours.
 * @see https://docs.cedarpolicy.com/auth/authorization.html
 */
import { sha256Base64url } from '@bailiwick/protocol';
import { atOnce, withPauses } from '../lib/pauses.ts';
import { type CedarEngine, openCedar } from './cedar.ts';
import { combine } from './combine.ts';
import { mostCost, tooCostly } from './cost.ts';
import { type Document, readDocuments, type Statement } from './document.ts';
import { type AnyRequest, type Facts, factsOf } from './facts.ts';
import { type Entry, entriesOf, type Memory, newMemory, type Outcome, type Outcomes, outcomesOf } from './outcomes.ts';
import { errorAt, type Source } from './policy-error.ts';
import { type PolicyAnswer, type PolicyDecision, policyActions } from './request.ts';
import { signalAction } from './schema.ts';
import { namedIn, outside, type ScopeIndex, scopeIndex } from './scope.ts';
import { type Words, wordsOf } from './words.ts';

export { PolicyError } from './policy-error.ts';

export interface PolicySource {
  name: string;
  text: string;
  /** `observe`: what it would change is told, and nothing else. */
  mode: 'enforce' | 'observe';
}

/** Policies that decide together. What it holds besides is the engine's. */
export interface PolicySet {
  /** What events call it. */
  readonly revision: string;
  readonly statements: readonly StatementSummary[];
}

export interface StatementSummary {
  /** `<policy name>/<@id>` */
  policy: string;
  effect: 'permit' | 'forbid';
  mode: 'enforce' | 'observe';
  reason: string | undefined;
}

/** What became of one statement. */
export interface ExplainedStatement extends StatementSummary {
  outcome: 'satisfied' | 'not_satisfied' | 'error' | 'out_of_scope';
  /** `out_of_scope`: by which part of its head. */
  because?: 'principal' | 'action' | 'resource';
  /** `error`: why. */
  message?: string;
}

export interface Explanation {
  answer: PolicyAnswer;
  statements: ExplainedStatement[];
}

export interface Named {
  entities: { type: string; id: string }[];
  operations: string[];
}

export interface PolicyEngine {
  /**
   * Reads policies ahead, with pauses in which the server does what it is there for: `compile` and `check` then take no time.
   * @throws PolicyError as they do
   */
  read(sources: readonly Source[]): Promise<void>;
  /** Whether all of these were read, and are still known. */
  hasRead(sources: readonly Source[]): boolean;
  /**
   * Compiles a set. Documents that were read before are not read again; the same sources and revision give the same set, with all
   * that it remembers.
   * @throws PolicyError with the policy's name, line and column
   */
  compile(sources: readonly PolicySource[], revision: string): PolicySet;
  /** Decides. Never throws: what goes wrong is told in `errors`, and the decision is deny. */
  evaluate(set: PolicySet, request: AnyRequest): PolicyAnswer;
  /**
   * Looks at one document.
   * @returns its statements, and what looks like a mistake
   * @throws PolicyError
   */
  check(text: string, name?: string): { statements: Omit<StatementSummary, 'mode'>[]; warnings: readonly string[] };
  /** The answer, and what became of every statement of the set. */
  explain(set: PolicySet, request: AnyRequest): Explanation;
  /** All that the statements of a set name: entities, and operations of others that they compare `context.operation` with. */
  named(set: PolicySet): Named;
  /** How much of what a set was asked was remembered, counted by statements. */
  counts(set: PolicySet): { remembered: number; asked: number };
}

/** The most statements that a set may have. */
export const mostStatements = 500;

/** Outcomes of statements that are remembered, of all sets together; each about 100 bytes, at most 600. */
const mostRemembered = 100_000;
const mostDocuments = 2_000;
const mostSets = 200;

interface Compiled extends PolicySet {
  entries: readonly SetEntry[];
  index: ScopeIndex<SetEntry>;
  outcomes: Outcomes;
}

type SetEntry = Entry & { mode: PolicySource['mode'] };

let loaded: Promise<PolicyEngine> | undefined;

/** The engine, one for the whole process: loaded when it is first asked for. */
export function loadPolicyEngine(): Promise<PolicyEngine> {
  loaded ??= Promise.resolve()
    .then(() => createPolicyEngine(openCedar()))
    .catch((error: unknown) => {
      loaded = undefined;
      throw error;
    });
  return loaded;
}

/**
 * An engine of its own, which tests and benchmarks want.
 * @param most how many outcomes of statements it remembers
 */
export function createPolicyEngine(
  cedar: CedarEngine,
  most = mostRemembered,
  read: typeof readDocuments = readDocuments,
): PolicyEngine {
  const words = cedar.call(wordsOf);
  const documents = new Map<string, Document>();
  const sets = new Map<string, Compiled>();
  const memory = newMemory(most);

  const keyOfDocument = ({ name, text }: Source): string => keyOf([name, text]);
  const unreadOf = (sources: readonly Source[]): Source[] =>
    sources.filter((source) => !documents.has(keyOfDocument(source)));

  function remember(sources: readonly Source[], fresh: readonly Document[]): void {
    for (const [at, source] of sources.entries()) {
      kept(documents, keyOfDocument(source), mostDocuments, fresh[at] as Document);
    }
  }

  function documentsOf(sources: readonly Source[]): Document[] {
    const unread = unreadOf(sources);
    const fresh = unread.length > 0 ? atOnce(read(cedar, words, unread)) : [];
    const found = new Map(unread.map((source, at) => [source, fresh[at] as Document] as const));
    return sources.map((source) => {
      const key = keyOfDocument(source);
      return kept(documents, key, mostDocuments, found.get(source) ?? (documents.get(key) as Document));
    });
  }

  return {
    async read(sources) {
      const unread = unreadOf(sources);
      if (unread.length > 0) remember(unread, await withPauses(read(cedar, words, unread)));
    },
    hasRead: (sources) => unreadOf(sources).length === 0,
    compile(sources, revision) {
      const key = keyOf([revision, sources.map(({ name, text, mode }) => [name, text, mode])]);
      const set = sets.get(key) ?? compile(cedar, documentsOf(sources), sources, revision, memory);
      return kept(sets, key, mostSets, set);
    },
    evaluate: (set, request) => evaluate(words, compiled(set), request).answer,
    check(text, name = '') {
      const { statements, warnings } = documentsOf([{ name, text }])[0] as Document;
      return {
        statements: statements.map(({ id, effect, reason }) => ({ policy: `${name}/${id}`, effect, reason })),
        warnings,
      };
    },
    explain(set, request) {
      const { answer, facts, applying, outcomes } = evaluate(words, compiled(set), request);
      const statements = compiled(set).entries.map((entry): ExplainedStatement => {
        const because = facts && outside(entry.scope, facts);
        if (because !== undefined) return { ...summary(entry), outcome: 'out_of_scope', because };
        const outcome = outcomes[applying.indexOf(entry)] ?? { error: answer.errors[0]?.message ?? 'it was not asked' };
        if (typeof outcome === 'object') return { ...summary(entry), outcome: 'error', message: outcome.error };
        return { ...summary(entry), outcome: outcome ? 'satisfied' : 'not_satisfied' };
      });
      return { answer, statements };
    },
    named(set) {
      const entities = new Map<string, { type: string; id: string }>();
      const operations = new Set<string>();
      for (const { statement } of compiled(set).entries) {
        for (const entity of [...namedIn(statement.scope), ...statement.reads.named.values()]) {
          entities.set(`${entity.type}::${entity.id}`, { type: entity.type, id: entity.id });
        }
        for (const operation of statement.reads.operations) operations.add(operation);
      }
      return { entities: [...entities.values()], operations: [...operations] };
    },
    counts: (set) => compiled(set).outcomes.counts(),
  };
}

const compiled = (set: PolicySet): Compiled => set as Compiled;

const keyOf = (content: unknown): string => sha256Base64url(JSON.stringify(content));

/** Keeps a value as the newest; the oldest makes room. */
function kept<Value>(memory: Map<string, Value>, key: string, most: number, value: Value): Value {
  memory.delete(key);
  if (memory.size >= most) memory.delete(memory.keys().next().value as string);
  memory.set(key, value);
  return value;
}

const summary = ({ statement, mode }: { statement: Statement; mode: PolicySource['mode'] }): StatementSummary => ({
  policy: statement.name,
  effect: statement.effect,
  mode,
  reason: statement.reason,
});

function compile(
  cedar: CedarEngine,
  documents: readonly Document[],
  sources: readonly PolicySource[],
  revision: string,
  memory: Memory,
): Compiled {
  const modes = new Map<Statement, PolicySource['mode']>();
  const names = new Set<string>();
  let cost = 0;
  for (const [at, { name, text, mode }] of sources.entries()) {
    if (names.has(name)) throw errorAt({ name, text }, 0, `the policy ${name} is there twice`);
    names.add(name);
    for (const statement of documents[at]?.statements ?? []) {
      modes.set(statement, mode);
      cost += statement.cost;
    }
    if (cost > mostCost) throw tooCostly({ name, text }, 0, 'all policies together take', mostCost);
    if (modes.size > mostStatements)
      throw errorAt(
        { name, text },
        0,
        `this is one too many: all policies together have at most ${mostStatements} statements`,
      );
  }
  const { entries, atoms } = entriesOf([...modes.keys()]);
  const withModes = entries.map(
    (entry): SetEntry => ({ ...entry, mode: modes.get(entry.statement) as PolicySource['mode'] }),
  );
  for (const { chunk } of withModes) cedar.keep(chunk);
  return {
    revision,
    statements: withModes.map(summary),
    entries: withModes,
    index: scopeIndex(withModes, [...policyActions, signalAction]),
    outcomes: outcomesOf(cedar, { entries: withModes, atoms }, memory),
  };
}

interface Evaluated {
  answer: PolicyAnswer;
  facts: Facts | undefined;
  applying: readonly SetEntry[];
  outcomes: readonly Outcome[];
}

function evaluate(words: Words, set: Compiled, request: AnyRequest): Evaluated {
  try {
    const shape = words.shapes.get(request.action);
    if (!shape?.principals.includes(request.principal.type) || !shape.resources.includes(request.resource.type)) {
      throw new Error(`${request.action} is not for ${request.principal.type} and ${request.resource.type}`);
    }
    const facts = factsOf(request);
    const applying = set.index.applying(facts);
    const outcomes = set.outcomes.of(facts, applying);
    return { answer: answerOf(applying, outcomes), facts, applying, outcomes };
  } catch (error) {
    // whatever went wrong: who could not be judged is not let in
    const message = error instanceof Error ? error.message : String(error);
    const errors = [{ policy: '', message }];
    const limits = { context: undefined, lifetimeSeconds: undefined };
    const answer = {
      decision: 'deny' as const,
      determining: [],
      requirements: [],
      limits,
      errors,
      observed: undefined,
    };
    return { answer, facts: undefined, applying: [], outcomes: [] };
  }
}

function answerOf(applying: readonly SetEntry[], outcomes: readonly Outcome[]): PolicyAnswer {
  const { decision, determining, requirements, limits, errors } = combine(applying, outcomes);
  let observed: PolicyDecision | undefined;
  if (applying.some(({ mode }) => mode === 'observe')) {
    const all = combine(applying, outcomes, true);
    if (all.decision !== decision) {
      observed = { decision: all.decision, determining: all.determining, requirements: all.requirements };
    }
  }
  return { decision, determining, requirements, limits, errors, observed };
}
