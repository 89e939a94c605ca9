/**
 * Cursors of the log. A position in it counts the events of everybody, so nobody gets to see one: it is sealed, and bound to what was asked and to
 * how far whoever asked may see.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import type { Deps } from '../deps.ts';
import { badRequest } from './problem.ts';

type CursorDeps = Pick<Deps, 'audit' | 'random'>;

const keys = new WeakMap<Buffer, Buffer>();

function keyOf({ audit }: CursorDeps): Buffer {
  let key = keys.get(audit.indexKey);
  if (!key) {
    key = createHmac('sha256', audit.indexKey).update('cursor').digest();
    keys.set(audit.indexKey, key);
  }
  return key;
}

/** @param about what was asked, and by whom: whoever asks for something else can't use the cursor */
export function sealPosition(deps: CursorDeps, about: unknown, position: number): string {
  const iv = deps.random.bytes(12);
  const cipher = createCipheriv('aes-256-gcm', keyOf(deps), iv).setAAD(Buffer.from(JSON.stringify(about)));
  const plain = Buffer.alloc(8);
  plain.writeBigUInt64BE(BigInt(position));
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/**
 * The position that a cursor stands for.
 * @throws Problem 400 naming `field` for one that was not made by us for exactly this
 */
export function openPosition(
  deps: CursorDeps,
  about: unknown,
  cursor: string | undefined,
  field = 'cursor',
): number | undefined {
  if (cursor === undefined) return undefined;
  const bytes = Buffer.from(cursor, 'base64url');
  try {
    if (bytes.length !== 36 || bytes.toString('base64url') !== cursor) throw new Error('not of this length');
    const decipher = createDecipheriv('aes-256-gcm', keyOf(deps), bytes.subarray(0, 12));
    decipher.setAAD(Buffer.from(JSON.stringify(about))).setAuthTag(bytes.subarray(-16));
    return Number(Buffer.concat([decipher.update(bytes.subarray(12, 20)), decipher.final()]).readBigUInt64BE());
  } catch {
    throw badRequest([{ field, message: 'must be what an earlier answer to the same question gave' }]);
  }
}
