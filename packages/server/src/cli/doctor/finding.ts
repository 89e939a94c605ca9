import type { Stats } from 'node:fs';

/** One line of the doctor's report. */
export interface Finding {
  /** `note`: nothing is wrong, but it should be known. */
  status: 'ok' | 'note' | 'warn' | 'fail';
  /** What was looked at, in a word or two. */
  check: string;
  message: string;
  /** What to do: of warnings and failures always. */
  todo?: string;
}

export const ok = (check: string, message: string): Finding => ({ status: 'ok', check, message });
export const note = (check: string, message: string): Finding => ({ status: 'note', check, message });
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

/** Whether others on this machine may look into a file or folder; what isn't there is closed. */
export const openToOthers = (found: Stats | undefined): boolean =>
  found !== undefined && process.platform !== 'win32' && (found.mode & 0o077) !== 0;
