// Two hundred million entries of an index in little room, and in its order: each is a number of 64 bits, in one of 8,192 parts by the first 13 bits of its
// term (53 bits): 40 bits of the term are left, and 24 are for the arrival.
const parts = 2 ** 13;
const rest = 2 ** 40;
export const arrivalsAtMost = 2 ** 24 - 1;

interface Part {
  /** Low and high word of each, as this machine has them in a number of 64 bits. */
  words: Uint32Array;
  length: number;
}

/** Entries by term and arrival, each once. */
export function newEntries() {
  const all: (Part | undefined)[] = Array(parts).fill(undefined);
  return {
    add(term: number, arrival: number): void {
      const index = Math.floor(term / rest);
      let part = all[index];
      if (!part) {
        part = { words: new Uint32Array(512), length: 0 };
        all[index] = part;
      } else if (2 * part.length === part.words.length) {
        const words = new Uint32Array(2 * part.words.length);
        words.set(part.words);
        part.words = words;
      }
      const left = term % rest;
      part.words[2 * part.length] = (left % 256) * 2 ** 24 + arrival;
      part.words[2 * part.length + 1] = Math.floor(left / 256);
      part.length += 1;
    },
    /** In the order of the table. What was given is no longer kept. */
    *sorted(): Generator<[term: number, arrival: number]> {
      for (const [index, part] of all.entries()) {
        if (!part) continue;
        const { words, length } = part;
        new BigUint64Array(words.buffer, 0, length).sort();
        for (let n = 0; n < length; n += 1) {
          const low = words[2 * n] as number;
          const high = words[2 * n + 1] as number;
          yield [index * rest + high * 256 + Math.floor(low / 2 ** 24), low % 2 ** 24];
        }
        all[index] = undefined;
      }
    },
  };
}
