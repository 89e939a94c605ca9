import { createHash } from 'node:crypto';

/** How many tokens a list has room for: 2 KiB before it is compressed, and seldom more than a hundred bytes after. */
export const listSize = 16_384;

/**
 * All indices of a list, in the order in which they are given away: a random one, so that an index tells neither when its token was made
 * nor what was made with it, and none comes twice.
 * @param seed hex, 32 unpredictable bytes
 */
export function indexOrder(seed: string): Uint16Array {
  const order = Uint16Array.from({ length: listSize }, (_, i) => i);
  const stream = createHash('shake256', { outputLength: listSize * 4 })
    .update(seed, 'hex')
    .digest();
  for (let i = listSize - 1; i > 0; i--) {
    const j = stream.readUInt32LE(i * 4) % (i + 1);
    const kept = order[i] as number;
    order[i] = order[j] as number;
    order[j] = kept;
  }
  return order;
}
