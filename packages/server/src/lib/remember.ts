/**
 * Remembers what was read from the database for exactly one version of the registry: every registry write
 * moves the version (`liveness/`), so what is remembered is what a fresh read would answer. Bounded: when
 * full, it starts again rather than growing.
 */
export interface Remembered<Value> {
  /** What was remembered for `key` at `version`, else what `load` answers; failures and absences are not kept. */
  get(version: number, key: string, load: () => Promise<Value | undefined>): Promise<Value | undefined>;
  /** What was remembered for `key` at `version`, if it was. */
  peek(version: number, key: string): Value | undefined;
}

export function remembered<Value>(capacity: number): Remembered<Value> {
  let at = -1;
  let values = new Map<string, Value>();
  return {
    peek: (version, key) => (version === at ? values.get(key) : undefined),
    async get(version, key, load) {
      if (version > at) {
        at = version;
        values = new Map();
      }
      const known = version === at ? values.get(key) : undefined;
      if (known !== undefined) return known;
      const value = await load();
      // `load` reads at or after `version`: keep it only if nothing has moved meanwhile
      if (value !== undefined && version === at) {
        if (values.size >= capacity) values.clear();
        values.set(key, value);
      }
      return value;
    },
  };
}

/** One memory for each owner (a database), made when it is first asked for and gone with its owner. */
export function rememberedPer<Value>(capacity: number): (owner: object) => Remembered<Value> {
  const memories = new WeakMap<object, Remembered<Value>>();
  return (owner) => {
    let memory = memories.get(owner);
    if (!memory) {
      memory = remembered(capacity);
      memories.set(owner, memory);
    }
    return memory;
  };
}
