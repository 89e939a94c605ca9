import type { Migration } from '../migrate.ts';

/**
 * By what events are found, behind the road: terms are numbers (`log/terms.ts`), in the order of arrival. What the road of a token wrote for
 * that goes: five indexes, and who answers for the agent.
 */
export const logIndex: Migration = {
  number: 10,
  name: 'log-index',
  statements: (dialect) => {
    const clustered = dialect === 'sqlite' ? ' without rowid' : '';
    return [
      `create table event_terms (term bigint not null, arrival bigint not null, primary key (term, arrival))${clustered}`,
      // what is personal, by keyed hashes; `subject` (a keyed hash, too) says with whom it goes
      `create table personal_terms (
         term bigint not null,
         arrival bigint not null,
         subject bigint not null,
         primary key (term, arrival)
       )${clustered}`,
      'create index personal_terms_subject on personal_terms (subject)',
      // one row: up to which arrival events are in the index
      'create table log_index (id integer primary key check (id = 1), position bigint not null)',
      'insert into log_index (id, position) values (1, 0)',
      'drop index if exists events_org',
      'drop index if exists events_agent',
      'drop index if exists events_target',
      'drop index if exists events_jti',
      'drop index if exists events_owner',
      'alter table events drop column owner_blind',
    ];
  },
};
