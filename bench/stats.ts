// What a series of measurements says, without pretending to more than it knows.

export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** Median with the extremes beside it. Throws on an empty series, which would otherwise read as zero. */
export function spread(series: readonly number[]): Spread {
  const sorted = [...series].sort((a, b) => a - b);
  const first = sorted[0];
  const last = sorted.at(-1);
  if (first === undefined || last === undefined) throw new Error('nothing was measured');
  const upper = sorted[Math.floor(sorted.length / 2)] as number;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] as number;
  return { median: (lower + upper) / 2, min: first, max: last };
}

/** The median alone. */
export function median(series: readonly number[]): number {
  return spread(series).median;
}

/** Rounded for reading: one decimal for microseconds, two for ratios. */
export function rounded(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}

/** "97.1 (94.0–103.2)" */
export function formatSpread(values: Spread): string {
  return `${values.median.toFixed(1)} (${values.min.toFixed(1)}–${values.max.toFixed(1)})`;
}
