/** A memory of at most about `2 × size` entries that forgets what was not asked for lately. */
export interface BoundedCache<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
}

/**
 * Two generations instead of a linked list: a hit in the young one costs one lookup and moves nothing,
 * and the whole old one is dropped when the young one is full.
 */
export function boundedCache<Value>(size: number): BoundedCache<Value> {
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();

  function set(key: string, value: Value): void {
    if (young.size >= size) {
      old = young;
      young = new Map();
    }
    young.set(key, value);
  }

  return {
    get(key) {
      const hit = young.get(key);
      if (hit !== undefined) return hit;
      const earlier = old.get(key);
      if (earlier !== undefined) set(key, earlier);
      return earlier;
    },
    // A slice of a string keeps the whole string alive: the copy lets a long token go that gave us a short key.
    set: (key, value) => set(Buffer.from(key, 'utf8').toString('utf8'), value),
  };
}
