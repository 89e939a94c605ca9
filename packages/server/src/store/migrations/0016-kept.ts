import type { Migration } from '../migrate.ts';

/** Who acknowledged a revocation when stays; what is personal goes once no event refers to it any more. */
export const kept: Migration = {
  number: 16,
  name: 'kept',
  statements: [
    // how resources answered, once the feed doesn't need it any more: as long as the revocation is listed
    `create table revocation_answers (
       rev bigint not null,
       resource text not null,
       acknowledged_at bigint not null,
       answers text,
       primary key (rev, resource)
     )`,
    // who answered revocations up to this number may be unknown: before, it was forgotten with the feed
    'alter table feed_tidied add column forgotten bigint not null default 0',
    'update feed_tidied set forgotten = (select rev from counter where id = 1)',
    // since when (ms) no event was found that refers to it
    'alter table personal add column orphaned_at bigint',
    'create index personal_orphaned on personal (orphaned_at) where orphaned_at is not null',
    // the index tells now which events refer to it: it is made anew, what is there stays as it is
    'update log_index set position = 0',
  ],
};
