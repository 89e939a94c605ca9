/** Whether statements speak the words of the schema. A few are looked at together, so that nobody waits long for any of them. */
import type { CedarEngine, DetailedError } from './cedar.ts';
import { errorAt, indexOfByte, type PolicyError, type Source } from './policy-error.ts';
import { policySchema, schemaWithoutSignals } from './schema.ts';

/** A statement as it stands in its document. */
export interface Piece {
  source: Source;
  /** Index into the document's text. */
  start: number;
  text: string;
  cost: number;
  /** It names the action that only those have a say in that name it. */
  signals: boolean;
}

/** Reading the schema takes Cedar 6 ms, and a part of a statement's tree some 50 microseconds. */
const mostTogether = { pieces: 64, cost: 400 };

/**
 * Looks at statements in their order, up to the first that is wrong: Cedar makes a mistake for every word of it and every kind of
 * request. A statement that could never apply is wrong: whoever wrote it meant something. Stops after every look.
 * @returns for each source, what is allowed and looks like a mistake
 * @throws PolicyError with line and column
 */
export function* validated(engine: CedarEngine, pieces: readonly Piece[]): Generator<void, Map<Source, string[]>> {
  const warnings = new Map<Source, string[]>();
  for (const some of together(pieces)) {
    const fine = some.length > 1 && areFine(engine, some);
    yield;
    if (fine) continue;
    for (const piece of some) {
      const said = warningsOf(engine, piece);
      if (said.length > 0) warnings.set(piece.source, [...(warnings.get(piece.source) ?? []), ...said]);
      yield;
    }
  }
  return warnings;
}

function together(pieces: readonly Piece[]): Piece[][] {
  const groups: Piece[][] = [];
  let cost = 0;
  for (const piece of pieces) {
    const last = groups.at(-1);
    cost += piece.cost;
    const fits = last !== undefined && last.length < mostTogether.pieces && cost <= mostTogether.cost;
    if (fits && last[0]?.signals === piece.signals) last.push(piece);
    else {
      groups.push([piece]);
      cost = piece.cost;
    }
  }
  return groups;
}

function ask(engine: CedarEngine, pieces: readonly Piece[]) {
  const policies = { staticPolicies: pieces.map(({ text }) => text).join('\n') };
  const schema = pieces[0]?.signals ? policySchema : schemaWithoutSignals;
  return engine.call(({ validate }) => validate({ schema, policies }));
}

function areFine(engine: CedarEngine, pieces: readonly Piece[]): boolean {
  const answer = ask(engine, pieces);
  if (answer.type === 'failure') return false;
  const { validationErrors, validationWarnings, otherWarnings } = answer;
  return validationErrors.length + validationWarnings.length + otherWarnings.length === 0;
}

function warningsOf(engine: CedarEngine, piece: Piece): string[] {
  const { source, start } = piece;
  const answer = ask(engine, [piece]);
  if (answer.type === 'failure') throw firstError(source, answer.errors, start);
  const errors = answer.validationErrors.map(({ error }) => error);
  if (errors.length > 0) throw firstError(source, errors, start);
  const warnings = answer.validationWarnings.map(({ error }) => error);
  const impossible = warnings.find(({ message }) =>
    /policy is impossible|unable to find an applicable action/.test(message),
  );
  if (impossible !== undefined) {
    throw errorAt(
      source,
      placeOf(source, impossible, start),
      'this can never apply: no request has such a principal, action and resource, or the conditions are never true',
    );
  }
  return [...warnings, ...answer.otherWarnings].map((warning) => said(warning));
}

/** Cedar's mistakes come in any order, and one for each kind of request. */
export function firstError(source: Source, errors: readonly DetailedError[], from = 0): PolicyError {
  let first: DetailedError | undefined;
  for (const error of errors) if (first === undefined || isBefore(error, first)) first = error;
  if (first === undefined) return errorAt(source, from, 'this is not understood');
  const label = first.sourceLocations?.[0]?.label ?? undefined;
  const expected = label?.replace(/^expected /, '') ?? first.help ?? undefined;
  return errorAt(source, placeOf(source, first, from), said(first), expected);
}

const byteOf = ({ sourceLocations: [place] = [] }: DetailedError): number => place?.start ?? 0;

const isBefore = (one: DetailedError, other: DetailedError): boolean =>
  byteOf(one) < byteOf(other) || (byteOf(one) === byteOf(other) && one.message < other.message);

const placeOf = ({ text }: Source, error: DetailedError, from: number): number =>
  from + indexOfByte(text.slice(from), byteOf(error));

const said = ({ message }: DetailedError): string =>
  message.replace(/^failed to parse polic(?:ies|y) from string: /, '').replace(/^for policy `policy\d+`, /, '');
