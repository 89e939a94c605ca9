import type { Queries, Tx } from '../store/database.ts';
import type { AuthorityRow } from '../store/tables.ts';

export type { AuthorityRow } from '../store/tables.ts';

/** Every authority, by kind and by when it begins to sign. */
export async function selectAuthorities(q: Queries): Promise<AuthorityRow[]> {
  return q.all<AuthorityRow>(
    `select id, kind, issuer, certificate, private_key, created_at, signs_from, expires_at
     from authorities order by kind, signs_from`,
  );
}

export async function insertAuthority(tx: Tx, row: AuthorityRow): Promise<void> {
  await tx.run(
    `insert into authorities (id, kind, issuer, certificate, private_key, created_at, signs_from, expires_at)
     values (?, ?, ?, ?, ?, ?, ?, ?)`,
    [row.id, row.kind, row.issuer, row.certificate, row.private_key, row.created_at, row.signs_from, row.expires_at],
  );
}

export async function deleteAuthority(tx: Tx, id: string): Promise<void> {
  await tx.run('delete from authorities where id = ?', [id]);
}

export interface BundleState {
  sequence: number;
  refresh_hint_seconds: number;
}

/** The number of the bundle as it was last changed; undefined before the first authority. */
export async function readBundleState(q: Queries): Promise<BundleState | undefined> {
  return q.get<BundleState>('select sequence, refresh_hint_seconds from trust_bundle where id = 1');
}

/** Gives the bundle its next number: what it says has changed. */
export async function nextBundle(tx: Tx, refreshHintSeconds: number): Promise<void> {
  await tx.run(
    `insert into trust_bundle (id, sequence, refresh_hint_seconds) values (1, 1, ?)
     on conflict (id) do update set sequence = trust_bundle.sequence + 1, refresh_hint_seconds = excluded.refresh_hint_seconds`,
    [refreshHintSeconds],
  );
}
