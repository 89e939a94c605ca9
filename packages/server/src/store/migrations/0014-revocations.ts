import type { Migration } from '../migrate.ts';

/** Whose a revocation is, and what it came with: for lists, and for who may see them. */
export const revocations: Migration = {
  number: 14,
  name: 'revocations',
  statements: () => [
    'alter table revocations add column kind text',
    // whose data, and whose doing it could have been: nothing for what is the deployment's own (a signing key)
    'alter table revocations add column org text',
    'alter table revocations add column agent text',
    // the number of the first that was ordered with it; nothing where it stands alone
    'alter table revocations add column cause bigint',
    'create index revocations_org on revocations (org, rev)',
  ],
};
