import type { Style } from '../output.ts';

/** Colours of the states of life. */
export function statusStyle(status: string): Style | undefined {
  if (status === 'active') return 'green';
  return status === 'suspended' ? 'yellow' : 'dim';
}
