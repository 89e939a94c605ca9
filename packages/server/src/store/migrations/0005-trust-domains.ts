import type { Migration } from '../migrate.ts';

/** Foreign trust domains: where their bundles come from, and the last one that was verified. */
export const trustDomains: Migration = {
  number: 5,
  name: 'trust-domains',
  statements: () => [
    `create table trust_domains (
      id text primary key,
      org text not null references organizations (id),
      name text not null,
      url text,
      profile text,
      endpoint_id text,
      bundle text,
      sequence bigint,
      confirmed_at bigint,
      tried_at bigint,
      due_at bigint,
      fault text,
      created_at bigint not null,
      updated_at bigint not null
    )`,
    'create unique index trust_domains_by_name on trust_domains (org, name)',
    'create index trust_domains_by_due on trust_domains (due_at) where due_at is not null',
  ],
};
