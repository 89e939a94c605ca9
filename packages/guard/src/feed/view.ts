/**
 * What a guard knows of revocations: pure memory, without clock or network.
 *
 * Every message that it is given was verified, so each is true by itself: between two numbers, this was revoked and nothing else. What is left to
 * see to is that no number is missed, and that nothing old is taken for the present.
 */
import type { FeedMessage } from '@bailiwick/protocol';

/** A revocation that can still matter. */
interface Known {
  /** Tokens with a smaller number are dead. */
  rev: number;
  /** Seconds since 1970: when the last of them has expired. */
  until: number;
  /** By a clock that nobody sets (ms): not forgotten earlier, whatever the wall clock says. */
  keptUntil: number;
}

export interface FeedView {
  /** The number that this is at; undefined before anything is known. */
  readonly rev: number | undefined;
  /** Of tokens with a smaller number nothing is known here. */
  readonly floor: number;
  /** Changes with everything that is learned or forgotten of what may matter: what was checked at it needn't be checked again. */
  readonly version: number;
  readonly size: number;
  /** How a token stands of which everything up to number `rev` is known. */
  check(tags: readonly string[], rev: number): 'alive' | 'ended' | 'unknown';
  /** Whether a revocation of this tag is known, whatever its number. */
  has(tag: string): boolean;
  /**
   * Takes a message of the stream.
   * @param at by the clock that nobody sets (ms)
   * @returns `gap`: something before it was missed. `anew`: only an answer to a question of one's own may begin anew. Nothing was changed by either.
   */
  follow(message: FeedMessage, at: number): 'applied' | 'known' | 'gap' | 'anew';
  /**
   * Takes the answer to a question of one's own, whole or not at all.
   * @param nonce of the question
   * @returns what was wrong with it; undefined if all of it is known now: then this is up to date as of when that was asked
   */
  answer(messages: readonly FeedMessage[], nonce: string, at: number): string | undefined;
  /** Looks at some of what is known, by turns, and forgets what no unexpired token can rest on. @param now ms since 1970 */
  forget(now: number, at: number): void;
}

const sweptAtOnce = 2_000;

/**
 * @param capacity how many revocations are known at most: beyond it the oldest sixteenth is forgotten, and the floor rises
 * @param learned called with the tags of what was learned, before any of it can be forgotten
 */
export function feedView(capacity: number, learned: (tags: readonly string[]) => void = () => {}): FeedView {
  let rev: number | undefined;
  let floor = 0;
  let version = 0;
  /** By tag, in the order of their numbers. */
  let known = new Map<string, Known>();
  let sweep = known.entries();

  /** @param above what is told of numbers up to this one is known already */
  function learn({ entries, iat, rev: at }: FeedMessage, above: number, now: number): void {
    for (const [number, tag, until] of entries) {
      if (number <= above) continue;
      const before = known.get(tag);
      const keptUntil = now + Math.max(0, until - iat) * 1000;
      // again at the end: the order is that of the numbers
      if (before !== undefined) known.delete(tag);
      known.set(tag, {
        rev: number,
        until: Math.max(until, before?.until ?? 0),
        keptUntil: Math.max(keptUntil, before?.keptUntil ?? 0),
      });
    }
    rev = at;
    if (entries.length > 0) learned(entries.map(([, tag]) => tag));
    bound();
    version += 1;
  }

  /** Some at once: each time the oldest has to be looked for behind what was forgotten before. */
  function bound(): void {
    if (known.size <= capacity) return;
    const kept = capacity - Math.floor(capacity / 16);
    for (const [tag, { rev: number }] of known) {
      known.delete(tag);
      floor = Math.max(floor, number);
      if (known.size <= kept) return;
    }
  }

  return {
    get rev() {
      return rev;
    },
    get floor() {
      return floor;
    },
    get version() {
      return version;
    },
    get size() {
      return known.size;
    },
    check(tags, of) {
      if (known.size > 0) {
        for (const tag of tags) {
          const revocation = known.get(tag);
          if (revocation !== undefined && revocation.rev > of) return 'ended';
        }
      }
      return of < floor ? 'unknown' : 'alive';
    },
    has: (tag) => known.has(tag),
    follow(message, at) {
      if (message.after === null) return 'anew';
      if (rev === undefined || message.after > rev) return 'gap';
      if (message.rev <= rev) return 'known';
      learn(message, rev, at);
      return 'applied';
    },
    answer(messages, nonce, at) {
      const wrong = wrongIn(messages, nonce, rev);
      if (wrong !== undefined) return wrong;
      const [first] = messages as [FeedMessage];
      if (first.after === null) {
        known = new Map();
        sweep = known.entries();
        floor = first.floor ?? 0;
        rev = undefined;
      }
      for (const message of messages) if (message.rev > (rev ?? -1)) learn(message, rev ?? -1, at);
      return undefined;
    },
    forget(now, at) {
      for (let looked = 0; looked < sweptAtOnce; looked++) {
        const { value, done } = sweep.next();
        if (done === true) {
          sweep = known.entries();
          return;
        }
        const [tag, { until, keptUntil }] = value;
        if (until * 1000 <= now && keptUntil <= at) known.delete(tag);
      }
    },
  };
}

/** An answer is a chain that begins where we are, or anew, and ends with our nonce: so nobody can hold any of it back. */
function wrongIn(messages: readonly FeedMessage[], nonce: string, rev: number | undefined): string | undefined {
  const [first, ...others] = messages;
  const last = messages.at(-1);
  if (first === undefined || last === undefined) return 'it is empty';
  if (first.after !== null && (rev === undefined || first.after > rev)) return 'something before it is missing';
  let at = first.rev;
  for (const { after, rev: next } of others) {
    if (after !== at) return 'its messages do not follow on each other';
    at = next;
  }
  if (messages.slice(0, -1).some(({ more }) => more !== true) || last.more === true) return 'it is not whole';
  if (last.nonces?.includes(nonce) !== true || last.lease === undefined) return 'it answers another question';
  return undefined;
}
