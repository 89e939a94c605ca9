import type { Migration } from '../migrate.ts';

/** Which agents stand behind a resource: they may go on, for whoever called it, with the token that they were called with. */
export const servedBy: Migration = {
  number: 18,
  name: 'served by',
  statements: ["alter table resources add column served_by text not null default '[]'"],
};
