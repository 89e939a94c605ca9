/**
 * What a statement reads, found in its tree: what its outcome is remembered by. A comparison with something that stands in the
 * policy is remembered by how it came out, not by what was compared, so that a task or an address never seen before is nothing new to a
 * statement that only asks whether it is in a list. Whatever is not understood here counts as reading everything.
 */
import { type Atom, comparison } from './atoms.ts';
import type { Expr } from './cedar.ts';
import { entityIn, pathOf } from './terms.ts';
import type { Path, Words } from './words.ts';

export interface Reads {
  /** Comparisons that we make ourselves, to know what Cedar said when they came out like this before. */
  atoms: Atom[];
  /** Values that count as they are. */
  paths: Path[];
  /** Tags of an entity that are read by a name that isn't known before. */
  tags: Path[];
  /** Entities that count by who they are: their type and id. What they are in is compared as one of `atoms`, or is `everything`. */
  entities: Set<'principal' | 'resource' | 'action'>;
  /** Members of the context that Cedar has to be told. */
  members: Set<string>;
  /** All of the request counts. */
  everything: boolean;
  /** Entities that are named. */
  named: Map<string, { type: string; id: string }>;
  /** Operations of others that are named. */
  operations: Set<string>;
}

/** Looks through the conditions of a statement. */
export function readsOf(words: Words, conditions: readonly Expr[]): Reads {
  const reads: Reads = {
    atoms: [],
    paths: [],
    tags: [],
    entities: new Set(),
    members: new Set(),
    everything: false,
    named: new Map(),
    operations: new Set(),
  };
  for (const condition of conditions) look(words, reads, condition);
  return reads;
}

function look(words: Words, reads: Reads, expr: Expr): void {
  const atom = comparison(words, expr);
  if (atom !== undefined) {
    reads.atoms.push(atom);
    for (const path of atom.paths) mention(reads, path);
    for (const entity of atom.named) reads.named.set(`${entity.type}::${JSON.stringify(entity.id)}`, entity);
    if (atom.paths.some(({ of, steps }) => of === 'context' && steps[0] === 'operation')) {
      for (const operation of atom.strings) reads.operations.add(operation);
    }
    return;
  }
  const path = pathOf(expr);
  if (path !== undefined) {
    if (path.steps.length > 0 || path.tag !== undefined) reads.paths.push(path);
    else if (path.of !== 'context') reads.entities.add(path.of);
    else reads.everything = true;
    mention(reads, path);
    return;
  }
  const [operator = '', given] = Object.entries(expr)[0] ?? [];
  if (operator === 'Value') {
    const entity = entityIn(given);
    if (entity !== undefined) reads.named.set(`${entity.type}::${JSON.stringify(entity.id)}`, entity);
    return;
  }
  if (operator === 'Var') {
    if (given === 'action') reads.entities.add('action');
    else reads.everything = true;
    return;
  }
  if (operator === 'getTag' || operator === 'hasTag') {
    const { left, right } = given as { left: Expr; right: Expr };
    const of = pathOf(left);
    if (of === undefined || of.tag !== undefined) reads.everything = true;
    else {
      reads.tags.push(of);
      mention(reads, of);
    }
    look(words, reads, right);
    return;
  }
  const parts = partsOf(operator, given);
  if (parts === undefined) reads.everything = true;
  else for (const part of parts) look(words, reads, part);
}

function mention(reads: Reads, { of, steps }: Path): void {
  if (of === 'context' && steps[0] !== undefined) reads.members.add(steps[0]);
}

/** The expressions that an expression is made of, where that is all that it reads. */
function partsOf(operator: string, given: unknown): Expr[] | undefined {
  const { left, right, arg } = given as { left: Expr; right: Expr; arg: Expr };
  switch (operator) {
    case '!':
    case 'neg':
    case 'isEmpty':
      return [arg];
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
    case '&&':
    case '||':
    case '+':
    case '-':
    case '*':
    case 'contains':
    case 'containsAll':
    case 'containsAny':
      return [left, right];
    case 'like':
      return [left];
    case 'if-then-else': {
      const { if: condition, then, else: otherwise } = given as { if: Expr; then: Expr; else: Expr };
      return [condition, then, otherwise];
    }
    case 'Set':
      return given as Expr[];
    case 'Record':
      return Object.values(given as Record<string, Expr>);
    default:
      // functions of extensions: of their arguments alone
      return Array.isArray(given) ? (given as Expr[]) : undefined;
  }
}
