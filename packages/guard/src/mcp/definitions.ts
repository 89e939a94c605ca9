import { toolDefinition } from '@bailiwick/protocol';
import { isObject } from './message.ts';

/** What the server behind said of a tool when it was last asked. */
interface Seen {
  /** The hash of its definition; undefined for one that can't be hashed, or of which two things were said. */
  hash: string | undefined;
  /** As it was said: headers are held against it. */
  inputSchema: unknown;
  at: number;
}

/** What is known of tools' definitions, for a bounded time. */
export interface Definitions {
  /** Counts how often all was forgotten: what was asked for before says nothing after. */
  readonly generation: number;
  /** What the server said of a tool not long ago; undefined if it has to be asked. */
  of(tool: string): Seen | undefined;
  /** Whether all tools that the server listed are known: one that isn't among them isn't there. */
  isWhole(): boolean;
  /**
   * Takes in what the list said, all pages of it, unless something changed since it was asked for.
   */
  learn(tools: readonly unknown[], asked: { generation: number; at: number }): void;
  /** The tools of a server changed: what is known is not to be believed any more. */
  forget(): void;
}

/** @param freshMs how long a definition is believed, in ms */
export function definitionsFor(runtime: { now(): number }, freshMs: number): Definitions {
  let known = new Map<string, Seen>();
  let generation = 0;
  let wholeAt = Number.NEGATIVE_INFINITY;

  function isFresh(at: number): boolean {
    const age = runtime.now() - at;
    return age >= 0 && age < freshMs;
  }

  function of(tool: string): Seen | undefined {
    const seen = known.get(tool);
    return seen !== undefined && isFresh(seen.at) ? seen : undefined;
  }

  return {
    get generation() {
      return generation;
    },
    of,
    isWhole: () => isFresh(wholeAt),
    learn(tools, asked) {
      if (asked.generation !== generation) return;
      const here = new Map<string, Seen>();
      for (const tool of tools) {
        if (!isObject(tool) || typeof tool.name !== 'string') continue;
        const hash = hashOf(tool);
        const { inputSchema } = tool;
        here.set(tool.name, { hash: here.has(tool.name) ? undefined : hash, inputSchema, at: asked.at });
      }
      known = here;
      wholeAt = asked.at;
    },
    forget() {
      generation += 1;
      wholeAt = Number.NEGATIVE_INFINITY;
      known.clear();
    },
  };
}

/** The hash of a tool's definition, or undefined for one that has none: nested too deeply, say. It matches nothing. */
export function hashOf(tool: Record<string, unknown>): string | undefined {
  try {
    return toolDefinition(tool);
  } catch {
    return undefined;
  }
}
