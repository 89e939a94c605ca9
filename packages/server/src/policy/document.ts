/** A policy's text, read: its statements one by one, each with what it says, where it applies and what it reads. */
import { type Annotated, AnnotationError, readAnnotations } from './annotations.ts';
import type { CedarEngine, DetailedError, Expr, PolicyJson } from './cedar.ts';
import { errorAt, indexOfByte, type PolicyError, type Source } from './policy-error.ts';
import { type Reads, readsOf } from './reads.ts';
import type { Determining } from './request.ts';
import { type Span, scan } from './scan.ts';
import { policySchema } from './schema.ts';
import { type Scope, scopeOf } from './scope.ts';
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
}

export interface Document {
  statements: readonly Statement[];
  /** What is allowed and looks like a mistake, in sentences. */
  warnings: readonly string[];
}

/**
 * Reads policies strictly: each parses, every statement has an `@id` and only annotations that there are, and all of it is valid by the
 * schema. A statement that could never apply is wrong: whoever wrote it meant something.
 * @throws PolicyError with line and column
 */
export function readDocuments(engine: CedarEngine, words: Words, sources: readonly Source[]): Document[] {
  const read = sources.map((source) => ({ source, statements: readStatements(engine, words, source) }));
  // reading the schema takes Cedar longer than anything else: only mistakes are looked for one by one
  const valid = sources.length > 1 && areValid(engine, sources);
  return read.map(({ source, statements }) => ({ statements, warnings: valid ? [] : validate(engine, source) }));
}

function areValid(engine: CedarEngine, sources: readonly Source[]): boolean {
  const policies = { staticPolicies: sources.map(({ text }) => text).join('\n') };
  const answer = engine.call(({ validate }) => validate({ schema: policySchema, policies }));
  if (answer.type === 'failure') return false;
  const { validationErrors, validationWarnings, otherWarnings } = answer;
  return validationErrors.length + validationWarnings.length + otherWarnings.length === 0;
}

/**
 * Reads a policy, without asking whether its words are those of the schema.
 * @throws PolicyError with line and column
 */
export function readStatements(engine: CedarEngine, words: Words, source: Source): Statement[] {
  const spans = scan(source);
  const parsed = engine.call(({ checkParsePolicySet }) => checkParsePolicySet({ staticPolicies: source.text }));
  if (parsed.type === 'failure') throw firstError(source, parsed.errors);
  const ids = new Set<string>();
  return spans.map((span) => {
    const statement = readStatement(engine, words, source, span);
    if (ids.has(statement.id)) {
      const message = `@id("${statement.id}") is there twice`;
      throw errorAt(source, annotationAt(span, 'id'), message, 'an @id that is unique in the policy');
    }
    ids.add(statement.id);
    return statement;
  });
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
  const name = `${source.name}/${annotated.id}`;
  return {
    ...annotated,
    effect: json.effect,
    name,
    told: { policy: name, effect: json.effect, reason: annotated.reason, public: annotated.public },
    scope: scopeOf(json),
    reads: readsOf(words, conditions),
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

/** @returns warnings */
function validate(engine: CedarEngine, source: Source): string[] {
  const policies = { staticPolicies: source.text };
  const answer = engine.call(({ validate }) => validate({ schema: policySchema, policies }));
  if (answer.type === 'failure') throw firstError(source, answer.errors);
  const errors = answer.validationErrors.map(({ error }) => error);
  if (errors.length > 0) throw firstError(source, errors);
  const warnings = answer.validationWarnings.map(({ error }) => error);
  const impossible = warnings.filter(({ message }) =>
    /policy is impossible|unable to find an applicable action/.test(message),
  );
  if (impossible.length > 0) {
    throw errorAt(
      source,
      placeOf(source, impossible[0] as DetailedError),
      'this can never apply: no request has such a principal, action and resource, or the conditions are never true',
    );
  }
  return [...warnings, ...answer.otherWarnings].map((warning) => said(warning));
}

/** Cedar's mistakes come in any order, and one for each kind of request. */
function firstError(source: Source, errors: readonly DetailedError[], from = 0): PolicyError {
  const placed = errors
    .map((error) => ({ error, at: placeOf(source, error, from) }))
    .sort((a, b) => a.at - b.at || (a.error.message < b.error.message ? -1 : 1));
  const [first] = placed;
  if (first === undefined) return errorAt(source, from, 'this is not understood');
  const { error, at } = first;
  const label = error.sourceLocations?.[0]?.label ?? undefined;
  return errorAt(source, at, said(error), label?.replace(/^expected /, '') ?? error.help ?? undefined);
}

function placeOf({ text }: Source, { sourceLocations: [place] = [] }: DetailedError, from = 0): number {
  return from + (place === undefined ? 0 : indexOfByte(text.slice(from), place.start));
}

const said = ({ message }: DetailedError): string =>
  message.replace(/^failed to parse polic(?:ies|y) from string: /, '').replace(/^for policy `policy\d+`, /, '');
