import type { Migration } from '../migrate.ts';

/** Token Status Lists of the resources that want them, and who rehearses revocations. */
export const statusLists: Migration = {
  number: 12,
  name: 'status-lists',
  statements: (dialect) => [
    // `seed` says in which order indices are given away, `taken` how many are
    `create table status_lists (
       id text primary key,
       resource text not null,
       alg text not null,
       seed text not null,
       taken bigint not null,
       closes_at bigint not null,
       ends_at bigint not null
     )`,
    'create index status_lists_by_resource on status_lists (resource, closes_at)',
    // what each token of a list rests on: its own tag, and those that it shares with others
    `create table status_entries (
       list text not null,
       idx bigint not null,
       rev bigint not null,
       expires_at bigint not null,
       tag text not null,
       rests_on text not null,
       primary key (list, idx)
     )${dialect === 'sqlite' ? ' without rowid' : ''}`,
    // the canary that rehearsed revocations are tried on: its key lies encrypted like every other, bound to this row
    `create table drill_canaries (
       org text primary key,
       agent text not null,
       resource text not null,
       role text not null,
       credential text not null,
       key text not null,
       created_at bigint not null
     )`,
    // one drill of a kind at a time, on one node
    `create table drill_claims (
       name text primary key,
       drill text not null,
       until bigint not null
     )`,
    // by which a server finds out whether a disk that was full has room again
    'create table write_tries (id text primary key, content text not null)',
  ],
};
