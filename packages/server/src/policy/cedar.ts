/**
 * Cedar's own engine, as WebAssembly: loaded when the first policy is read, never at start-up (4 MB; 60 ms and 50 MB of memory).
 * Whatever of it can break stays in here.
 */
import { createRequire } from 'node:module';
import type * as CedarModule from '@cedar-policy/cedar-wasm/nodejs';

export type Cedar = typeof CedarModule;
export type {
  CedarValueJson,
  DetailedError,
  EntityJson,
  Expr,
  PolicyJson,
  TypeAndId,
} from '@cedar-policy/cedar-wasm/nodejs';

import type { AuthorizationAnswer, CedarValueJson, EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';

/** Statements that are parsed together and asked together. Keys are `<policy>/<@id>`, values statements that permit. */
export interface Chunk {
  readonly statements: Readonly<Record<string, string>>;
  /** Where Cedar keeps it, if it still does. */
  slot?: Slot | undefined;
}

interface Slot {
  readonly id: string;
  holds: Chunk | undefined;
}

/** What Cedar is asked: one request, with the entities that it is about. */
export interface CedarQuestion {
  principal: TypeAndId;
  action: TypeAndId;
  resource: TypeAndId;
  context: Record<string, CedarValueJson>;
  entities: EntityJson[];
}

/** What holds, and what could not be evaluated and why, of the statements of a chunk. */
export interface CedarOutcome {
  satisfied: ReadonlySet<string>;
  errors: ReadonlyMap<string, string>;
}

export interface CedarEngine {
  /** Calls Cedar. A call that breaks it (a trap of WebAssembly leaves its memory in pieces) throws, and the next one gets a fresh copy. */
  call<Answer>(work: (cedar: Cedar) => Answer): Answer;
  /** Parses a chunk, if it is not there yet. */
  keep(chunk: Chunk): void;
  ask(chunk: Chunk, question: CedarQuestion): CedarOutcome;
}

/** Cedar never frees what it parsed, unless something else is parsed under the same id: so there are this many, used in turn. */
const mostSlots = 256;

/** Loads a copy of Cedar from disk: each has its own memory, so that none can take what another keeps for its own. */
export function openCedar(slots = mostSlots): CedarEngine {
  let cedar: Cedar | undefined = freshCopy();
  // in the order of their last use
  let used = new Map<string, Slot>();

  function call<Answer>(work: (cedar: Cedar) => Answer): Answer {
    cedar ??= freshCopy();
    try {
      return work(cedar);
    } catch (error) {
      for (const slot of used.values()) forget(slot);
      used = new Map();
      cedar = undefined;
      throw error;
    }
  }

  function keep(chunk: Chunk): string {
    const known = chunk.slot;
    const slot = known ?? freeSlot();
    if (known === undefined) {
      const answer = call(({ preparsePolicySet }) =>
        preparsePolicySet(slot.id, { staticPolicies: { ...chunk.statements } }),
      );
      if (answer.type === 'failure') throw new Error(`Cedar read once and not again: ${answer.errors[0]?.message}`);
      slot.holds = chunk;
      chunk.slot = slot;
    }
    used.delete(slot.id);
    used.set(slot.id, slot);
    return slot.id;
  }

  function freeSlot(): Slot {
    if (used.size < slots) return { id: `slot-${used.size}`, holds: undefined };
    const [oldest] = used.values();
    if (oldest === undefined) throw new Error('there is no slot');
    forget(oldest);
    return oldest;
  }

  return {
    call,
    keep,
    ask(chunk, question) {
      const preparsedPolicySetId = keep(chunk);
      const answer = call(({ statefulIsAuthorized }) => statefulIsAuthorized({ ...question, preparsedPolicySetId }));
      return outcomeOf(answer);
    },
  };
}

function freshCopy(): Cedar {
  const require = createRequire(import.meta.url);
  const path = require.resolve('@cedar-policy/cedar-wasm/nodejs');
  delete require.cache[path];
  return require(path) as Cedar;
}

function forget(slot: Slot): void {
  if (slot.holds !== undefined) slot.holds.slot = undefined;
  slot.holds = undefined;
}

function outcomeOf(answer: AuthorizationAnswer): CedarOutcome {
  if (answer.type === 'failure') throw new Error(`Cedar can't be asked this: ${answer.errors[0]?.message}`);
  const { reason, errors } = answer.response.diagnostics;
  return {
    satisfied: new Set(reason),
    errors: new Map(errors.map(({ policyId, error }) => [policyId, error.message])),
  };
}
