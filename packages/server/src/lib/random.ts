import { randomFillSync } from 'node:crypto';

/** Where randomness comes from; always the operating system's CSPRNG outside of tests. */
export interface Random {
  /** `length` unpredictable bytes, owned by the caller. */
  bytes(length: number): Buffer;
}

const poolBytes = 8192;

/** The CSPRNG, read in blocks: a call for sixteen bytes costs a copy and not a system call. */
export function systemRandom(): Random {
  const pool = Buffer.allocUnsafeSlow(poolBytes);
  let used = poolBytes;
  return {
    bytes(length) {
      if (length > poolBytes) return randomFillSync(Buffer.allocUnsafeSlow(length));
      if (used + length > poolBytes) {
        randomFillSync(pool);
        used = 0;
      }
      const out = Buffer.from(pool.subarray(used, used + length));
      pool.fill(0, used, used + length); // what was handed out is not kept
      used += length;
      return out;
    },
  };
}
