import type { Migration } from '../migrate.ts';

/** What a mandate is called by whoever wrote it down: files know it by that. */
export const mandateNames: Migration = {
  number: 24,
  name: 'mandate names',
  statements: [
    'alter table mandates add column name text',
    'create index mandates_by_name on mandates (org, name) where name is not null',
  ],
};
