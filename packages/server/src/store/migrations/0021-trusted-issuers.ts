import type { Migration } from '../migrate.ts';

/** Whose tokens let agents act for people, and by which names those issuers know our people. */
export const trustedIssuers: Migration = {
  number: 21,
  name: 'trusted issuers',
  statements: [
    `create table trusted_issuers (
       id text primary key,
       org text not null references organizations (id),
       issuer text not null,
       jwks_uri text not null,
       algorithms text not null,
       accepts text not null,
       audiences text not null,
       max_age_seconds bigint not null,
       rules text not null,
       jwks text,
       jwks_at bigint,
       jwks_until bigint,
       jwks_tried_at bigint,
       fault text,
       created_at bigint not null,
       updated_at bigint not null
     )`,
    'create unique index trusted_issuers_by_issuer on trusted_issuers (org, issuer)',
    // found by a keyed hash; what it is lies sealed under the key of the person
    `create table person_identities (
       blind text primary key,
       person text not null references people (id),
       sealed text not null
     )`,
    'create index person_identities_by_person on person_identities (person)',
  ],
};
