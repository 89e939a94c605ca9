import type { Migration } from '../migrate.ts';

/** Which reports were taken: each once. By the day on which it happened, so that what is forgotten lies together. */
export const reports: Migration = {
  number: 9,
  name: 'reports',
  statements: (dialect) => [
    `create table reported (
       day bigint not null,
       id text not null,
       primary key (day, id)
     )${dialect === 'sqlite' ? ' without rowid' : ''}`,
  ],
};
