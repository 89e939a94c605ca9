import type { Migration } from '../migrate.ts';

/** What the road of a token stands on: the counter, what is alive, what is spent, the keys and the log. */
export const core: Migration = {
  number: 1,
  name: 'core',
  statements: (dialect) => [
    // one row: `rev` numbers revocations; `version` moves with every write to the registry
    'create table counter (id integer primary key check (id = 1), rev bigint not null, version bigint not null)',
    'insert into counter (id, rev, version) values (1, 0, 1)',

    `create table subjects (
       id text primary key,
       kind text not null,
       parent text,
       ends_at bigint,
       state text not null check (state in ('active', 'suspended', 'ended')),
       ended_rev bigint,
       changed_at bigint not null
     )`,
    'create index subjects_parent on subjects (parent)',

    `create table revocations (
       rev bigint primary key,
       subject text not null,
       tag text not null,
       effect text not null check (effect in ('ended', 'suspended', 'narrowed')),
       reason text not null,
       by_agent text not null,
       at bigint not null
     )`,
    'create index revocations_tag on revocations (tag, rev)',

    // single use: whoever inserts the row has spent it; rows may go once what they stand for has expired. No index on
    // that: every token would pay for it, while who tidies up can as well read the table from end to end
    `create table spent (id text primary key, expires_at bigint not null)${dialect === 'sqlite' ? ' without rowid' : ''}`,

    `create table signing_keys (
       kid text primary key,
       alg text not null,
       private_jwk text not null,
       created_at bigint not null,
       signs_from bigint not null
     )`,
    'create unique index signing_keys_order on signing_keys (alg, signs_from)',

    // secrets of this deployment that every node needs: nonce keys, the blind index key
    'create table secrets (name text primary key, value text not null, created_at bigint not null)',

    `create table events (
       id text primary key,
       seq bigint,
       at bigint not null,
       org text not null,
       type text not null,
       outcome text not null,
       agent text,
       target text,
       resource text,
       jti text,
       owner_blind text,
       leaf text not null,
       personal text
     )`,
    'create index events_org on events (org, id)',
    'create index events_agent on events (agent, id)',
    'create index events_target on events (target, id) where target is not null',
    // a token's `jti` is the id of the event that tells of its issue: that one is found without an index
    "create index events_jti on events (jti) where type <> 'token.issued' and jti is not null",
    'create index events_owner on events (owner_blind, id)',

    // one key for each person (or owning team) under which their plain text stands: erasing it erases them
    'create table sealing_keys (subject text primary key, key text not null, created_at bigint not null)',
    // what is personal in events, sealed under such a key; equal values of one person stand here once
    'create table personal (id text primary key, subject text not null, sealed text not null)',
    'create index personal_subject on personal (subject)',
  ],
};
