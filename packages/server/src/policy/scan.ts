/**
 * A first look at a policy's text, before Cedar's parser sees it: where its statements are, and that it is not deeper than the parser
 * and the evaluator can bear. Both are recursive; 300 nested brackets overflow their stack, which in WebAssembly leaves the
 * memory of the whole module in pieces.
 */
import { errorAt, type Source } from './policy-error.ts';

/** The most that a document may hold, in bytes of UTF-8. */
export const longestText = 64 * 1024;

// each about a tenth of what breaks it
const deepest = 32;
const mostConditionals = 50;
/** Of operators in one statement, and of dots: each makes its tree deeper by one. */
const mostOperators = 200;
/** Names and values in one statement: more than what may be decided by, so that nobody waits for a longer one to be read. */
const mostWords = 2_500;

/** One statement of a document, as it is written. */
export interface Span {
  /** Indices into the text. It begins with its first annotation and ends after its `;`. */
  start: number;
  end: number;
  /** Where the word `permit` or `forbid` is. */
  effectAt: number;
  /** Where each annotation is: its `@`. */
  annotations: { name: string; at: number }[];
}

const token = /\s+|\/\/[^\n\r]*|"(?:[^"\\]|\\[\s\S])*"|[A-Za-z_][A-Za-z0-9_]*|\d+|&&|\|\||[!<>=]=|::|[\s\S]/y;

/** Control characters, and what changes the order or hides parts of what is read: a policy means what it looks like. */
const hidden =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/;

/** Whether a text has what nobody could see in it. */
export const hasHidden = (text: string): boolean => hidden.test(text) || !text.isWellFormed();

/**
 * Finds the statements of a document.
 * @throws PolicyError where it is too long or too deep, has characters that can't be seen, a template, or ends in the middle
 */
export function scan(source: Source): Span[] {
  const { text } = source;
  if (Buffer.byteLength(text, 'utf8') > longestText) {
    throw errorAt(source, 0, 'the text is longer than 64 KB: make several policies of it');
  }
  const unseen = hidden.exec(text);
  if (unseen !== null) {
    const code = unseen[0].codePointAt(0) as number;
    throw errorAt(
      source,
      unseen.index,
      `there is a character that can't be seen: U+${code.toString(16).toUpperCase().padStart(4, '0')}`,
    );
  }
  if (!text.isWellFormed()) throw errorAt(source, 0, 'the text is not well-formed Unicode');
  const spans: Span[] = [];
  let span: Span | undefined;
  let counts = none();
  let last = '';
  token.lastIndex = 0;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [word] = match;
    const at = match.index;
    if (/^(?:\s|\/\/)/.test(word)) continue;
    span ??= { start: at, end: at, effectAt: -1, annotations: [] };
    span.end = at + word.length;
    if (word === '?')
      throw errorAt(
        source,
        at,
        'templates have no place here: a policy has no slots',
        'an entity, such as Agent::"name"',
      );
    if (last === '@' && span.effectAt < 0) span.annotations.push({ name: word, at: text.lastIndexOf('@', at) });
    else if (span.effectAt < 0 && (word === 'permit' || word === 'forbid') && counts.brackets === 0) span.effectAt = at;
    count(counts, word);
    if (counts.brackets > deepest) throw errorAt(source, at, `brackets are nested deeper than ${deepest}`);
    const { operators, dots, conditionals, words } = counts;
    if (operators > mostOperators || dots > mostOperators || conditionals > mostConditionals || words > mostWords) {
      throw errorAt(
        source,
        span.start,
        'the statement is too long',
        `at most ${mostOperators} operators, ${mostOperators} dots and ${mostWords} names and values; make several statements of it`,
      );
    }
    last = word;
    if (word === ';' && counts.brackets === 0) {
      spans.push(span);
      span = undefined;
      counts = none();
      last = '';
    }
  }
  if (span !== undefined) spans.push(span);
  return spans;
}

const none = () => ({ brackets: 0, operators: 0, dots: 0, conditionals: 0, words: 0 });

function count(counts: ReturnType<typeof none>, word: string): void {
  if (/^["\w]/.test(word)) counts.words += 1;
  if (word === '(' || word === '[' || word === '{') counts.brackets += 1;
  else if (word === ')' || word === ']' || word === '}') counts.brackets = Math.max(0, counts.brackets - 1);
  else if (word === '.' || word === 'has') counts.dots += 1;
  else if (word === 'if') counts.conditionals += 1;
  else if (/^(?:&&|\|\||[-+*!<>]|[!<>=]=|in|like|is)$/.test(word)) counts.operators += 1;
}
