import type { Migration } from '../migrate.ts';

/** Turns in a life, and what comes in masses, have entries of their own: the index of the log is made anew, what is there stays as it is. */
export const logIndexAgain: Migration = {
  number: 19,
  name: 'log index again',
  statements: ['update log_index set position = 0'],
};
