/**
 * Patterns of others in linear time, by RE2's rules: no look-around, no references back. A pattern never meets the engine's own RegExp.
 * Compiling is bounded too: what costs the compiler much is refused by its text, before the compiler sees it.
 */

/** A pattern in linear time, and how much a letter costs it. */
export interface Pattern {
  test(text: string): boolean;
  size: number;
}

/** Letters and instructions of a pattern; classes of Unicode in it; instructions that it may come to by its text alone. */
const bounds = { letters: 256, instructions: 300, unicodeClasses: 8, estimate: 5000 };

/** What reads patterns: the pattern, or in words what is wrong with the text. The engine takes its time to load. */
export async function patternReader(): Promise<(text: string) => Pattern | string> {
  const { RE2JS } = await import('re2js');
  return (text) => {
    const wrong = costly(text);
    if (wrong !== undefined) return wrong;
    let compiled: { test(input: string): boolean; programSize(): number };
    try {
      compiled = RE2JS.compile(text);
    } catch {
      return 'must be a pattern by the rules of RE2: no look-around, no references back';
    }
    const size = compiled.programSize();
    if (size > bounds.instructions) return tooMuch;
    return { test: (input) => compiled.test(input), size };
  };
}

const tooMuch = 'must be a simpler pattern: this one takes too long';

/** What its text says of what compiling it would cost; rather too much than too little. */
function costly(text: string): string | undefined {
  if (text.length > bounds.letters) return `must be a pattern of at most ${bounds.letters} letters`;
  // where case doesn't count, the compiler goes through a class letter by letter: a million of them in ten characters. What begins
  // with \Q is refused along: in it a backslash is a letter, and escapes would be told wrongly
  for (const [found] of text.matchAll(/\\.|\(\?(?!:|P?<)/gs)) {
    if (found === '\\Q') return 'must be a pattern without \\Q';
    if (found.startsWith('('))
      return 'must be a pattern by the rules of RE2, without flags: (?i) and look-around are refused';
  }
  const classes = text.match(/\\p/gi)?.length ?? 0;
  if (classes > bounds.unicodeClasses) return `must have at most ${bounds.unicodeClasses} classes like \\p{L}`;
  return estimate(text) > bounds.estimate ? tooMuch : undefined;
}

/** How many instructions it may come to: a counted letter or class is written out so often, a counted group with all that is in it. */
function estimate(text: string): number {
  let groups = 1;
  let single = text.length;
  for (const [, before, least, most] of text.matchAll(/(.?)\{(\d+)(?:,(\d*))?\}/gs)) {
    const times = Math.max(1, Number(least) + 1, Number(most ?? 0));
    if (before === '' || /[)}*+?]/.test(before as string)) groups *= times;
    else single += 2 * times;
  }
  return groups * single;
}
