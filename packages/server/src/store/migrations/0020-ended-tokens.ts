import type { Migration } from '../migrate.ts';

/** Tokens that were ended one by one are found by when they would have been over, to be forgotten. */
export const endedTokens: Migration = {
  number: 20,
  name: 'ended tokens',
  statements: ["create index subjects_tokens_by_end on subjects (ends_at) where kind = 'token'"],
};
