/** A policy's text, read: its statements one by one, each with what it says, where it applies and what it reads. */
import { type Annotated, AnnotationError, readAnnotations } from './annotations.ts';
import type { CedarEngine, Expr, PolicyJson } from './cedar.ts';
import { costOf, mostCost, tooCostly } from './cost.ts';
import { errorAt, type Source } from './policy-error.ts';
import { type Reads, readsOf } from './reads.ts';
import type { Determining } from './request.ts';
import { type Span, scan } from './scan.ts';
import { signalAction } from './schema.ts';
import { type Scope, scopeOf } from './scope.ts';
import { firstError, type Piece, validated } from './validation.ts';
import type { Words } from './words.ts';

export interface Statement extends Annotated {
  effect: 'permit' | 'forbid';
  /** `<policy name>/<@id>` */
  name: string;
  scope: Scope;
  reads: Reads;
  /** As answers tell of it. */
  told: Determining;
  /** The statement as one that permits: so Cedar says of each that it holds, and not only of those that decide. */
  permitting: string;
  /** What it takes to decide by it, in parts of its tree. */
  cost: number;
}

export interface Document {
  statements: readonly Statement[];
  /** What is allowed and looks like a mistake, in sentences. */
  warnings: readonly string[];
}

/**
 * Reads policies strictly: each parses, every statement has an `@id` and only annotations that there are, and all of it is valid by the
 * schema. Stops where others may have their turn: no step takes longer than some 50 ms.
 * @throws PolicyError with line and column
 */
export function* readDocuments(
  engine: CedarEngine,
  words: Words,
  sources: readonly Source[],
): Generator<void, Document[]> {
  const read: { source: Source; statements: Statement[] }[] = [];
  const pieces: Piece[] = [];
  for (const source of sources) {
    const statements: Statement[] = [];
    for (const { statement, piece } of statementsOf(engine, words, source)) {
      statements.push(statement);
      pieces.push(piece);
      yield;
    }
    read.push({ source, statements });
  }
  const warnings = yield* validated(engine, pieces);
  return read.map(({ source, statements }) => ({ statements, warnings: warnings.get(source) ?? [] }));
}

/**
 * Reads a policy, without asking whether its words are those of the schema.
 * @throws PolicyError with line and column
 */
export const readStatements = (engine: CedarEngine, words: Words, source: Source): Statement[] =>
  [...statementsOf(engine, words, source)].map(({ statement }) => statement);

function* statementsOf(
  engine: CedarEngine,
  words: Words,
  source: Source,
): Generator<{ statement: Statement; piece: Piece }> {
  const spans = scan(source);
  const parsed = engine.call(({ checkParsePolicySet }) => checkParsePolicySet({ staticPolicies: source.text }));
  if (parsed.type === 'failure') throw firstError(source, parsed.errors);
  const ids = new Set<string>();
  let cost = 0;
  for (const span of spans) {
    const statement = readStatement(engine, words, source, span);
    if (ids.has(statement.id)) {
      const message = `@id("${statement.id}") is there twice`;
      throw errorAt(source, annotationAt(span, 'id'), message, 'an @id that is unique in the policy');
    }
    ids.add(statement.id);
    cost += statement.cost;
    if (cost > mostCost) throw tooCostly(source, span.start, 'all statements together take', mostCost);
    const text = source.text.slice(span.start, span.end);
    const signals = statement.scope.actions?.includes(signalAction) ?? false;
    yield { statement, piece: { source, start: span.start, text, cost: statement.cost, signals } };
  }
}

function readStatement(engine: CedarEngine, words: Words, source: Source, span: Span): Statement {
  const text = source.text.slice(span.start, span.end);
  const answer = engine.call(({ policyToJson }) => policyToJson(text));
  // the whole document was parsed: each of its statements can be, if they are where the scan saw them
  if (answer.type === 'failure') throw firstError(source, answer.errors, span.start);
  const { json } = answer;
  const effectAt = span.effectAt - span.start;
  if (text.slice(effectAt, effectAt + json.effect.length) !== json.effect) {
    throw errorAt(source, span.start, 'this is no statement that can be read', 'permit(…) or forbid(…)');
  }
  const annotated = annotationsOf(source, span, json);
  const conditions = json.conditions.map(({ body }) => body as Expr);
  for (const condition of conditions) checkLiterals(source, span, condition);
  const cost = costOf(words, source, span.start, conditions);
  const name = `${source.name}/${annotated.id}`;
  const scope = scopeOf(json);
  const names = scope.actions?.includes(signalAction) && (scope.resource.equals ?? scope.resource.within) !== undefined;
  return {
    ...annotated,
    effect: json.effect,
    name,
    told: {
      policy: name,
      effect: json.effect,
      reason: annotated.reason,
      public: annotated.public,
      ...(names && { names }),
      ...((annotated.context !== undefined || annotated.lifetimeSeconds !== undefined) && {
        limits: { context: annotated.context, lifetimeSeconds: annotated.lifetimeSeconds },
      }),
    },
    scope,
    reads: readsOf(words, conditions),
    cost,
    permitting: `${text.slice(0, effectAt)}permit${text.slice(effectAt + json.effect.length)}`,
  };
}

function annotationsOf(source: Source, span: Span, { effect, annotations }: PolicyJson): Annotated {
  try {
    return readAnnotations(effect, annotations as Record<string, string | null> | undefined);
  } catch (error) {
    if (!(error instanceof AnnotationError)) throw error;
    throw errorAt(source, annotationAt(span, error.annotation), error.message, error.expected);
  }
}

function annotationAt({ annotations, start }: Span, name: string | undefined): number {
  return annotations.find((annotation) => annotation.name === name)?.at ?? start;
}

/** Entities that a policy names have no attributes here: only those of the request do. Asked for one, Cedar could only fail. */
function checkLiterals(source: Source, span: Span, expr: unknown): void {
  if (typeof expr !== 'object' || expr === null) return;
  if (Array.isArray(expr)) {
    for (const each of expr) checkLiterals(source, span, each);
    return;
  }
  for (const [operator, given] of Object.entries(expr)) {
    const left: unknown = (given as { left?: unknown } | null)?.left;
    const named = typeof left === 'object' && left !== null && 'Value' in left;
    if (named && ['.', 'has', 'getTag', 'hasTag', 'in', 'is'].includes(operator)) {
      throw errorAt(
        source,
        span.start,
        'an entity that the policy itself names has no attributes and is in nothing: only principal, action, resource and context can be asked about',
        'principal in Role::"name"',
      );
    }
    if (operator !== 'Value') checkLiterals(source, span, given);
  }
}
