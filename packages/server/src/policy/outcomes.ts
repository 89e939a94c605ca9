/**
 * What each statement comes to for a request: asked of Cedar once, and remembered by what the statement reads of requests. So what is
 * remembered ends with the policy, and never says anything of a request that reads differently.
 */
import type { Atom } from './atoms.ts';
import type { CedarEngine, Chunk } from './cedar.ts';
import type { Statement } from './document.ts';
import { contextMemberNames, type Facts, questionOf, tagsOf, valueAt, written } from './facts.ts';
import type { Path } from './words.ts';

/** `true`: all of its conditions hold. Text: why it could not be evaluated. */
export type Outcome = boolean | { error: string };

export interface Outcomes {
  /** Of each of these statements, which apply to the request by their heads. */
  of(facts: Facts, entries: readonly Entry[]): Outcome[];
  /** How many statements were answered from memory and how many by Cedar, so far. */
  counts(): { remembered: number; asked: number };
}

/** How much is remembered, of all sets together: when it is too much, all is forgotten, and learnt again. */
export interface Memory {
  readonly most: number;
  size: number;
  generation: number;
}

/** An empty memory of outcomes. @param most of them at a time */
export const newMemory = (most: number): Memory => ({ most, size: 0, generation: 0 });

/** A statement in a set. */
export interface Entry {
  readonly statement: Statement;
  /** Its place in the set. */
  readonly order: number;
  readonly scope: Statement['scope'];
  readonly chunk: Chunk;
  /** Indices of its atoms among those of the set. */
  readonly atoms: readonly number[];
  /** It reads nothing but these, and few enough that how they came out is one number. */
  readonly plain: boolean;
  readonly remembered: { generation: number; outcomes: Map<number | string, boolean> };
}

export interface Entries {
  entries: readonly Entry[];
  /** Every comparison that a statement of the set makes, once. */
  atoms: readonly Atom[];
}

/** Together in one call. A call costs Cedar about as much for its request as for thirty statements. */
const chunkSize = 16;
/** Of those that are asked anew by nearly every request: in one decision, all of a set. */
const chunkSizeOfOthers = 64;

interface ChunkInMaking {
  count: number;
  statements: Record<string, string>;
  chunk?: Chunk;
}

/** Numbers the comparisons of statements, and puts the statements together in chunks. */
export function entriesOf(statements: readonly Statement[]): Entries {
  const numbers = new Map<string, number>();
  const atoms: Atom[] = [];
  const numberOf = (atom: Atom): number => {
    const known = numbers.get(atom.key);
    if (known !== undefined) return known;
    numbers.set(atom.key, atoms.length);
    return atoms.push(atom) - 1;
  };
  const entries: Entry[] = [];
  const open = new Map<boolean, ChunkInMaking>();
  for (const statement of statements) {
    const { reads, scope, name, permitting } = statement;
    const own = [...new Set(reads.atoms.map(numberOf))];
    const nothingElse = reads.paths.length + reads.tags.length + reads.entities.size === 0 && !reads.everything;
    const plain = nothingElse && own.length <= mostInNumber;
    let making = open.get(plain);
    if (making === undefined || making.count === (plain ? chunkSize : chunkSizeOfOthers)) {
      making = { count: 0, statements: {} };
      open.set(plain, making);
    }
    making.count += 1;
    making.statements[name] = permitting;
    making.chunk ??= { statements: making.statements };
    entries.push({
      statement,
      order: entries.length,
      scope,
      chunk: making.chunk,
      atoms: own,
      plain,
      remembered: { generation: 0, outcomes: new Map() },
    });
  }
  return { entries, atoms };
}

/** 32 to the tenth is a whole number that is exact. */
const mostInNumber = 10;

/** Longer keys are not worth keeping: what is that long is hardly ever the same. */
const longestKey = 256;

/** Asks Cedar about the statements of a set, and remembers. */
export function outcomesOf(engine: CedarEngine, { atoms }: Entries, memory: Memory): Outcomes {
  const values = new Uint8Array(atoms.length);
  const made = new Uint32Array(atoms.length);
  let request = 0;
  const counted = { remembered: 0, asked: 0 };

  /** Each comparison is made once for a request, however many statements make it. */
  function outcomeOf(number: number, facts: Facts): number {
    if (made[number] !== request) {
      values[number] = Math.min((atoms[number] as Atom).test(facts), 31);
      made[number] = request;
    }
    return values[number] as number;
  }

  function knownOf({ remembered }: Entry): Map<number | string, boolean> {
    if (remembered.generation !== memory.generation) {
      remembered.outcomes.clear();
      remembered.generation = memory.generation;
    }
    return remembered.outcomes;
  }

  function remember(entry: Entry, key: number | string, outcome: boolean): void {
    if (typeof key === 'string' && key.length > longestKey) return;
    if (memory.size >= memory.most) {
      memory.generation += 1;
      memory.size = 0;
    }
    memory.size += 1;
    knownOf(entry).set(key, outcome);
  }

  function keyOf({ atoms: own, statement: { reads }, plain }: Entry, facts: Facts): number | string {
    if (plain) {
      let number = 0;
      for (let i = 0; i < own.length; i += 1) number = number * 32 + outcomeOf(own[i] as number, facts);
      return number;
    }
    if (reads.everything) return JSON.stringify(questionOf(facts, contextMemberNames));
    return JSON.stringify([
      own.map((atom) => outcomeOf(atom, facts)),
      reads.paths.map((path) => found(facts, path)),
      reads.tags.map((path) => Object.entries(tagsOf(facts, path)).sort()),
      [...reads.entities].map((name) => (name === 'action' ? facts.request.action : facts[name])),
    ]);
  }

  function ask(facts: Facts, missing: readonly Asked[], outcomes: Outcome[]): void {
    const chunks = new Map<Chunk, Asked[]>();
    for (const each of missing) {
      const some = chunks.get(each.entry.chunk);
      if (some === undefined) chunks.set(each.entry.chunk, [each]);
      else some.push(each);
    }
    for (const [chunk, some] of chunks) {
      const members = new Set(
        some.flatMap(({ entry: { statement } }) =>
          statement.reads.everything ? contextMemberNames : [...statement.reads.members],
        ),
      );
      const { satisfied, errors } = engine.ask(chunk, questionOf(facts, members));
      for (const { entry, key, at } of some) {
        const error = errors.get(entry.statement.name);
        if (error !== undefined) {
          // not remembered: what Cedar says of a mistake may name whoever asked
          outcomes[at] = { error };
          continue;
        }
        const outcome = satisfied.has(entry.statement.name);
        outcomes[at] = outcome;
        remember(entry, key, outcome);
      }
    }
  }

  return {
    of(facts, statements) {
      request = (request + 1) >>> 0;
      // once in four billion
      if (request === 0) {
        made.fill(0);
        request = 1;
      }
      let missing: Asked[] | undefined;
      const outcomes: Outcome[] = [];
      for (let at = 0; at < statements.length; at += 1) {
        const entry = statements[at] as Entry;
        const key = keyOf(entry, facts);
        const known = knownOf(entry).get(key);
        outcomes.push(known ?? false);
        if (known === undefined) {
          missing ??= [];
          missing.push({ entry, key, at });
        }
      }
      const asked = missing?.length ?? 0;
      counted.remembered += statements.length - asked;
      counted.asked += asked;
      if (missing !== undefined) ask(facts, missing, outcomes);
      return outcomes;
    },
    counts: () => ({ ...counted }),
  };
}

interface Asked {
  entry: Entry;
  key: number | string;
  at: number;
}

function found(facts: Facts, path: Path): string {
  const value = valueAt(facts, path);
  return value === undefined ? '' : written(value);
}
