import type { Migration } from '../migrate.ts';

/** What nodes know of each other's leases, and up to where the feed was tidied. */
export const feedNodes: Migration = {
  number: 15,
  name: 'feed-nodes',
  statements: [
    // the longest lease (ms) that a node may have given; raised before it gives a longer one
    'alter table feed_nodes add column lease_ms bigint not null default 0',
    // entries up to this number are gone: all of them had expired
    'create table feed_tidied (id integer primary key check (id = 1), rev bigint not null)',
    'insert into feed_tidied (id, rev) values (1, 0)',
    'create index feed_entries_pending on feed_entries (rev) where acknowledged_at is null',
  ],
};
