import type { Queries, Tx } from '../store/database.ts';

export interface SigningKeyRow {
  kid: string;
  alg: string;
  private_jwk: string;
  created_at: number;
  signs_from: number;
  usage: KeyUsage;
}

/** What a key signs, and nothing else: access tokens and what else `/oauth2/jwks` tells of, or JWT-SVIDs. */
export type KeyUsage = 'access_token' | 'jwt_svid';

export async function selectSigningKeys(q: Queries, usage: KeyUsage): Promise<SigningKeyRow[]> {
  return q.all<SigningKeyRow>(
    `select kid, alg, private_jwk, created_at, signs_from, usage from signing_keys
     where usage = ? order by alg, signs_from`,
    [usage],
  );
}

/** The key with this id, of whatever use. */
export async function findSigningKey(q: Queries, kid: string): Promise<SigningKeyRow | undefined> {
  return q.get<SigningKeyRow>(
    'select kid, alg, private_jwk, created_at, signs_from, usage from signing_keys where kid = ?',
    [kid],
  );
}

/** Moves when a key begins to sign (milliseconds). */
export async function setSignsFrom(tx: Tx, kid: string, signsFrom: number): Promise<void> {
  await tx.run('update signing_keys set signs_from = ? where kid = ?', [signsFrom, kid]);
}

/** Answers false if a key of this algorithm already begins at that instant. */
export async function insertSigningKey(tx: Tx, row: SigningKeyRow): Promise<boolean> {
  const inserted = await tx.get(
    `insert into signing_keys (kid, alg, private_jwk, created_at, signs_from, usage) values (?, ?, ?, ?, ?, ?)
     on conflict do nothing returning kid`,
    [row.kid, row.alg, row.private_jwk, row.created_at, row.signs_from, row.usage],
  );
  return inserted !== undefined;
}

export async function deleteSigningKey(tx: Tx, kid: string): Promise<void> {
  await tx.run('delete from signing_keys where kid = ?', [kid]);
}
