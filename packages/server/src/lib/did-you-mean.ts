/**
 * The known word nearest to what was typed, or undefined when none is near enough to be meant.
 * Near is at most a third of the word's letters wrong (swapped neighbours count as one), or the beginning or end of one word only.
 */
export function didYouMean(typed: string, known: Iterable<string>): string | undefined {
  const wanted = typed.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const word of known) {
    const distance = editDistance(wanted, word.toLowerCase());
    if (distance < bestDistance) {
      best = word;
      bestDistance = distance;
    }
  }
  if (best !== undefined || wanted.length < 3) return best;
  const words = [...known];
  for (const part of ['startsWith', 'endsWith'] as const) {
    const longer = words.filter((word) => word.toLowerCase()[part](wanted));
    if (longer.length > 0) return longer.length === 1 ? longer[0] : undefined;
  }
  return undefined;
}

/** The end of a sentence: ` Did you mean "x"?`, or nothing. */
export function didYouMeanHint(typed: string, known: Iterable<string>): string {
  const word = didYouMean(typed, known);
  return word === undefined ? '' : ` Did you mean "${word}"?`;
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, each once. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let distance = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, (beforeLast[j - 2] ?? 0) + 1);
      }
      row[j] = distance;
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
