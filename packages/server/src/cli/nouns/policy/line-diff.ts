/** Two texts, line by line, as one reads a change. */
import type { Style } from '../../output.ts';
import { printable } from '../../output.ts';

export interface DiffLine {
  sign: '+' | '-' | ' ';
  text: string;
}

/** What turns one text into the other, unchanged lines included. */
export function lineDiff(before: string, after: string): DiffLine[] {
  const [a, b] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const same = (lines: readonly string[]) => lines.map((text): DiffLine => ({ sign: ' ', text }));
  return [
    ...same(a.slice(0, start)),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...same(a.slice(a.length - end)),
  ];
}

const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/));

/** By the longest common subsequence of lines. */
function middle(a: readonly string[], b: readonly string[]): DiffLine[] {
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] as number;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ sign: ' ', text: a[i] as string });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ sign: '-', text: a[i++] as string });
    } else {
      lines.push({ sign: '+', text: b[j++] as string });
    }
  }
  return lines;
}

const around = 2;

/** The lines that differ, with two of those around them; `…` for what is left out. */
export function showDiff(lines: readonly DiffLine[], paint: (style: Style, text: string) => string): string {
  const near = lines.map((_, index) =>
    lines.slice(Math.max(0, index - around), index + around + 1).some(({ sign }) => sign !== ' '),
  );
  const shown: string[] = [];
  let left = false;
  for (const [index, { sign, text }] of lines.entries()) {
    if (!near[index]) {
      left = true;
      continue;
    }
    if (left) shown.push(paint('dim', '    …'));
    left = false;
    const line = `  ${sign} ${printable(text.replaceAll('\t', '  '))}`;
    shown.push(sign === ' ' ? paint('dim', line) : paint(sign === '+' ? 'green' : 'red', line));
  }
  return shown.join('\n');
}
