/** The operator's key file: `{issuer, client_id, jwk}`, for its owner alone. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { PrivateJwk } from '@bailiwick/protocol';

export interface OperatorIdentity {
  issuer: string;
  client_id: string;
  jwk: PrivateJwk;
}

export const operatorFile = (config: { data: string }): string => path.join(config.data, 'operator.json');

/**
 * Writes the file so that it is there whole or not at all, and on disk when this returns. Synchronous, since it happens
 * inside a transaction. What stood there before is kept beside it: it may be the only key to another database.
 */
export function writeOperatorFile(config: { data: string }, identity: OperatorIdentity): string {
  const file = operatorFile(config);
  const fresh = `${file}.new`;
  // whatever lies there is not ours to write into: somebody else's file would keep its mode, a link would lead elsewhere
  rmSync(fresh, { force: true });
  const descriptor = openSync(fresh, 'wx', 0o600);
  try {
    writeSync(descriptor, `${JSON.stringify(identity, null, 2)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  keepOther(file, identity);
  renameSync(fresh, file);
  const folder = openSync(config.data, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
  return file;
}

/** Says in the file that the server is now known by another issuer; the key in it stays. */
export function moveOperatorFile(config: { data: string }, from: string, to: string): void {
  try {
    const identity = JSON.parse(readFileSync(operatorFile(config), 'utf8')) as OperatorIdentity;
    if (identity.issuer === from) writeOperatorFile(config, { ...identity, issuer: to });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // kept elsewhere: theirs to change
  }
}

function keepOther(file: string, identity: OperatorIdentity): void {
  if (!existsSync(file)) return;
  const known = keyIdIn(file);
  if (known !== identity.jwk.kid) renameSync(file, `${file}.${known?.slice(0, 8) ?? 'unreadable'}`);
}

function keyIdIn(file: string): string | undefined {
  try {
    const { jwk } = JSON.parse(readFileSync(file, 'utf8')) as Partial<OperatorIdentity>;
    return typeof jwk?.kid === 'string' && /^[\w-]{8,64}$/.test(jwk.kid) ? jwk.kid : undefined;
  } catch {
    return undefined; // not ours to judge: it is kept all the same
  }
}
