import type { Migration } from '../migrate.ts';

/** Who reads the log on and takes it elsewhere, how far they are, and what is left of events whose time is over. */
export const exportsStep: Migration = {
  number: 13,
  name: 'exports',
  statements: [
    // `holder` is the node that delivers now; it moves `beat`, and whoever sees it stand still takes over
    `create table log_consumers (
       name text primary key,
       position bigint not null,
       holder text,
       beat bigint not null,
       failures integer not null,
       last_error text,
       last_error_at bigint,
       delivered bigint not null,
       delivered_at bigint,
       created_at bigint not null
     )`,
    // what a receiver refused for good: skipped, and kept until somebody says what becomes of it; `again` asks for another try
    `create table log_dead_letters (
       consumer text not null,
       arrival bigint not null,
       event text not null,
       reason text not null,
       at bigint not null,
       again integer not null,
       primary key (consumer, arrival)
     )`,
    `create table exporters (
       id text primary key,
       org text,
       name text not null,
       target text not null,
       secret text,
       created_at bigint not null,
       changed_at bigint not null
     )`,
    "create unique index exporters_name on exporters (coalesce(org, ''), name)",
    // how long events are kept, by organization and type; without a row: as the program has it
    `create table log_retention (
       org text not null,
       type text not null,
       days integer,
       changed_at bigint not null,
       primary key (org, type)
     )`,
    // what remains of an event whose time is over: enough for the tree and every proof over it
    `create table retired_events (
       arrival bigint primary key,
       id text not null unique,
       at bigint not null,
       org text not null,
       type text not null,
       leaf_hash text not null
     )`,
  ],
};
