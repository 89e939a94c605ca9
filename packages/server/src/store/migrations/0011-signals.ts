import type { Migration } from '../migrate.ts';

/** Security signals (SSF): who is sent them, what waits to be sent, and from whom they are heard. */
export const signals: Migration = {
  number: 11,
  name: 'signals',
  statements: () => [
    `create table signal_streams (
       id text primary key,
       org text not null references organizations (id),
       agent text not null,
       method text not null,
       endpoint_url text,
       events text,
       description text,
       default_subjects text not null,
       status text not null,
       reason text,
       last bigint not null,
       due_at bigint,
       failures bigint not null,
       fault text,
       delivered_at bigint,
       verified_at bigint,
       created_at bigint not null,
       updated_at bigint not null
     )`,
    'create index signal_streams_by_org on signal_streams (org, id)',
    'create index signal_streams_by_agent on signal_streams (agent)',
    'create index signal_streams_by_due on signal_streams (due_at) where due_at is not null',

    // what waits until its receiver has it: the claims of the SET, signed when they are sent
    `create table signal_sets (
       stream text not null,
       seq bigint not null,
       jti text not null,
       event text not null,
       claims text not null,
       control bigint not null,
       attempts bigint not null,
       created_at bigint not null,
       primary key (stream, seq)
     )`,
    'create unique index signal_sets_by_jti on signal_sets (stream, jti)',

    // subjects that were added (where none are by default) or removed (where all are)
    `create table signal_subjects (
       stream text not null,
       id text not null,
       complex bigint not null,
       subject text not null,
       primary key (stream, id)
     )`,

    `create table signal_sources (
       id text primary key,
       org text not null references organizations (id),
       name text not null,
       issuer text not null,
       jwks_uri text not null,
       audience text not null,
       events text not null,
       subjects text not null,
       authorization_hash text,
       poll text,
       jwks text,
       jwks_at bigint,
       jwks_tried_at bigint,
       heard_at bigint,
       due_at bigint,
       failures bigint not null,
       fault text,
       created_at bigint not null,
       updated_at bigint not null
     )`,
    'create unique index signal_sources_by_name on signal_sources (org, name)',
    'create index signal_sources_by_due on signal_sources (due_at) where due_at is not null',

    // what receivers want to see with each delivery, and the keys by which sources are asked; encrypted where a key for that is configured
    'create table signal_secrets (id text primary key, value text not null)',
  ],
};
