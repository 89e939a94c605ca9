/** How results look: tables and fields for people, JSON for programs. */
import type { Context } from './command.ts';

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
export type Style = keyof typeof codes;

/** Paints on a terminal that wants it (https://no-color.org), and leaves text alone elsewhere. */
export function painter(io: Context['io']): (style: Style, text: string) => string {
  const colours = io.columns !== undefined && !io.env.NO_COLOR && io.env.TERM !== 'dumb';
  return (style, text) => (colours && text !== '' ? `\u001b[${codes[style]}m${text}\u001b[0m` : text);
}

/** Shows a result: as JSON if asked, else by what `human` returns. */
export function show(context: Context, result: unknown, human: () => string): void {
  const text = context.globals.json ? JSON.stringify(result, null, 2) : human();
  context.io.out(text === '' || text.endsWith('\n') ? text : `${text}\n`);
}

export interface Column<Row> {
  title: string;
  value: (row: Row) => string;
  style?: (row: Row) => Style | undefined;
  /** Never cut: it is there to be copied. */
  whole?: boolean;
}

/**
 * A table that fits the terminal: the widest columns give way, never below eight characters, and ids not at all. In a pipe nothing is cut,
 * so that `grep` and `awk` see everything.
 */
export function table<Row>(
  context: Context,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  empty: string,
): string {
  if (rows.length === 0) return empty;
  const paint = painter(context.io);
  const cells = rows.map((row) => columns.map((column) => printable(column.value(row))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((row) => (row[index] ?? '').length)),
  );
  if (context.io.columns !== undefined) shrink(widths, columns, context.io.columns - 2 * (columns.length - 1));

  const line = (parts: readonly string[], styleOf: (index: number) => Style | undefined) =>
    parts
      .map((part, index) => {
        const width = widths[index] ?? 0;
        const cut = part.length > width ? `${part.slice(0, Math.max(0, width - 1))}…` : part;
        const padded = index === parts.length - 1 ? cut : cut.padEnd(width);
        const style = styleOf(index);
        return style ? paint(style, padded) : padded;
      })
      .join('  ')
      .trimEnd();
  const head = line(
    columns.map((column) => column.title),
    () => 'dim',
  );
  const body = rows.map((row, index) => line(cells[index] ?? [], (column) => columns[column]?.style?.(row)));
  return [head, ...body].join('\n');
}

function shrink(widths: number[], columns: readonly { whole?: boolean }[], room: number): void {
  for (;;) {
    const total = widths.reduce((sum, width) => sum + width, 0);
    const widest = Math.max(...widths.filter((_width, index) => !columns[index]?.whole));
    if (total <= room || widest <= 8) return;
    widths[widths.findIndex((width, index) => width === widest && !columns[index]?.whole)] = widest - 1;
  }
}

/** Names and values under each other; what is empty is left out. */
export function fields(context: Context, entries: readonly (readonly [string, string | undefined])[]): string {
  const paint = painter(context.io);
  const shown = entries.filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '');
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  const indent = ' '.repeat(width + 2);
  return shown
    .map(([name, value]) => {
      const lines = value.split('\n').map(printable);
      return `${paint('dim', name.padEnd(width))}  ${lines.join(`\n${indent}`)}`;
    })
    .join('\n');
}

/** What others named can't move the cursor or forge a line of ours. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '�');
}

/** `2026-11-22 18:30:05Z`, from RFC 3339. */
export function shortTime(time: string | null | undefined): string {
  if (!time) return '';
  const at = new Date(time);
  return Number.isNaN(at.getTime())
    ? time
    : at
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, 'Z');
}

/** `3 d`, `5 h`, `12 min`, `40 s`: the largest unit that says something. */
export function span(milliseconds: number): string {
  const total = Math.round(Math.abs(milliseconds) / 1000);
  if (total >= 2 * 86_400) return `${Math.floor(total / 86_400)} d`;
  if (total >= 2 * 3600) return `${Math.floor(total / 3600)} h`;
  if (total >= 120) return `${Math.floor(total / 60)} min`;
  return `${total} s`;
}
