/** One line of the doctor's report. */
export interface Finding {
  status: 'ok' | 'warn' | 'fail';
  /** What was looked at, in a word or two. */
  check: string;
  message: string;
  /** What to do, unless all is well. */
  todo?: string;
}

export const ok = (check: string, message: string): Finding => ({ status: 'ok', check, message });
export const warn = (check: string, message: string, todo: string): Finding => ({
  status: 'warn',
  check,
  message,
  todo,
});
export const fail = (check: string, message: string, todo: string): Finding => ({
  status: 'fail',
  check,
  message,
  todo,
});

/** `a, b, c and 4 more` */
export function someOf(names: readonly string[], most = 5): string {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
