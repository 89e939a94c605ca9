import type { Migration } from '../migrate.ts';

/** Certificate authorities, the numbers of the trust bundle, and what each signing key is for. */
export const certificateAuthority: Migration = {
  number: 4,
  name: 'certificate-authority',
  statements: () => [
    "alter table signing_keys add column usage text not null default 'access_token'",
    'drop index signing_keys_order',
    'create unique index signing_keys_order on signing_keys (usage, alg, signs_from)',

    `create table authorities (
      id text primary key,
      kind text not null,
      issuer text,
      certificate text not null,
      private_key text not null,
      created_at bigint not null,
      signs_from bigint not null,
      expires_at bigint not null
    )`,
    'create unique index authorities_order on authorities (kind, signs_from)',

    `create table trust_bundle (
      id bigint primary key,
      sequence bigint not null,
      refresh_hint_seconds bigint not null
    )`,
  ],
};
