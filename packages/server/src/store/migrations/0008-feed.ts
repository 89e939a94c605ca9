import type { Migration } from '../migrate.ts';

/** How long before this step was taken a token can have been issued that nobody noted, and lives: 15 minutes and a clock's tolerance. */
const bridgeMs = 16 * 60_000;

/** What guards learn of revocations, and a log that can be read on from where one stopped. */
export const feed: Migration = {
  number: 8,
  name: 'feed',
  statements: (dialect) => [
    "alter table resources add column feed text not null default '{}'",

    // what unexpired tokens for a resource rest on, by tag, and until when (ms) they can live at most
    `create table token_reach (
       tag text not null,
       resource text not null,
       until bigint not null,
       primary key (tag, resource)
     )${dialect === 'sqlite' ? ' without rowid' : ''}`,
    // tokens that were issued before this step are noted nowhere: until they have expired, everything reaches everything
    `insert into token_reach (tag, resource, until)
       select '*', id, ${dialect === 'sqlite' ? "cast(strftime('%s', 'now') as integer) * 1000" : '(extract(epoch from now()) * 1000)::bigint'} + ${bridgeMs} from resources`,

    // what is sent to the guards of a resource; `prev` is the number that was sent before it
    `create table feed_entries (
       resource text not null,
       rev bigint not null,
       prev bigint not null,
       tag text not null,
       until bigint not null,
       at bigint not null,
       acknowledged_at bigint,
       answers text,
       primary key (resource, rev)
     )${dialect === 'sqlite' ? ' without rowid' : ''}`,
    'create index feed_entries_rev on feed_entries (rev)',
    'create table feed_heads (resource text primary key, rev bigint not null)',
    // servers that hand out feed leases, where there can be several
    'create table feed_nodes (id text primary key, beat bigint not null, at bigint not null)',

    ...arrival(dialect),
  ],
};

/**
 * `arrival` numbers events in the order in which they were appended. On PostgreSQL a number below another may still be committed later:
 * whoever reads on asks `horizonOf` first.
 */
const arrival = (dialect: 'sqlite' | 'postgres'): string[] =>
  dialect === 'postgres'
    ? [
        'alter table events drop column seq',
        'alter table events add column arrival bigserial',
        'create unique index events_arrival on events (arrival)',
      ]
    : [
        `create table events_by_arrival (
           arrival integer primary key,
           id text not null unique,
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
        `insert into events_by_arrival (id, at, org, type, outcome, agent, target, resource, jti, owner_blind, leaf, personal)
           select id, at, org, type, outcome, agent, target, resource, jti, owner_blind, leaf, personal from events order by rowid`,
        'drop table events',
        'alter table events_by_arrival rename to events',
        'create index events_org on events (org, id)',
        'create index events_agent on events (agent, id)',
        'create index events_target on events (target, id) where target is not null',
        "create index events_jti on events (jti) where type <> 'token.issued' and jti is not null",
        'create index events_owner on events (owner_blind, id)',
      ];
