/** A signing key that is believed no more: whoever may have a copy of its private half can sign nothing that anybody takes. */
import type { JwsAlgorithm, PrivateJwk } from '@bailiwick/protocol';
import { endKey } from '../liveness/liveness.ts';
import type { Queries, Tx } from '../store/database.ts';
import { addSigningKey, type KeyDeps } from './keys.ts';
import { deleteSigningKey, findSigningKey, type SigningKeyRow, selectSigningKeys, setSignsFrom } from './store.ts';

export type KeyToRevoke = Pick<SigningKeyRow, 'kid' | 'alg' | 'usage'>;

/** The key for access tokens with this id, whatever its state; undefined for one that was revoked, or never was. */
export async function keyToRevoke(q: Queries, kid: string): Promise<KeyToRevoke | undefined> {
  const row = await findSigningKey(q, kid);
  return row?.usage === 'access_token' ? row : undefined;
}

/**
 * Withdraws a key from the key set, private half and all, and ends every token that it signed. If it was the one that signs, a successor
 * signs at once: the one that is published already, if there is one, since verifiers may know it, else a new one. An older key never signs
 * again. In `Database.transaction` alone.
 * @param fresh a key pair of the same algorithm, made before the transaction
 * @returns who signs now; undefined if the key was withdrawn already
 */
export async function revokeSigningKey(
  tx: Tx,
  deps: KeyDeps,
  change: { id: string; reason: string; by: string; now: number },
  fresh: PrivateJwk,
): Promise<{ signs: string } | undefined> {
  const { id: kid, now } = change;
  const row = await keyToRevoke(tx, kid);
  if (!row) return undefined;
  const before = await sameAlgorithm(tx, row);
  const signing = before.findLast((one, i) => i === 0 || one.signs_from <= now)?.kid;
  await endKey(tx, change);
  await deleteSigningKey(tx, kid);
  tx.afterCommit(() => deps.keys.parsed.delete(kid));
  if (signing !== undefined && signing !== kid) return { signs: signing };
  const waiting = before.find((one, i) => i > 0 && one.kid !== kid && one.signs_from > now);
  if (waiting) {
    await setSignsFrom(tx, waiting.kid, now);
    return { signs: waiting.kid };
  }
  return { signs: await addSigningKey(tx, deps, fresh, { alg: row.alg as JwsAlgorithm, signsFrom: now }) };
}

const sameAlgorithm = async (q: Queries, { alg, usage }: KeyToRevoke): Promise<SigningKeyRow[]> =>
  (await selectSigningKeys(q, usage)).filter((one) => one.alg === alg);
