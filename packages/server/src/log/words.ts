/** Free text: what counts as a word, in events and in questions. */

const wordsAtMost = 24;
const longest = 40;

/**
 * The words of these texts, each once, in small letters: runs of letters and digits, at most 24. Ids are no words: they are asked for as
 * what they are.
 */
export function wordsOf(texts: readonly string[], atMost = wordsAtMost): string[] {
  const words = new Set<string>();
  for (const text of texts) {
    for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]+(?:_[\p{L}\p{N}]+)*/gu)) {
      if (word.length < 2 || /^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$/.test(word)) continue;
      words.add(word.slice(0, longest));
      if (words.size >= atMost) return [...words];
    }
  }
  return [...words];
}
