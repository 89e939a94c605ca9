import { readFileSync, statSync } from 'node:fs';
import { isJsonObject, type JsonObject, type PrivateJwk } from '@bailiwick/protocol';
import { type Agent, createAgent } from './agent.ts';
import { BailiwickError } from './errors.ts';
import type { AgentOptions } from './options.ts';

/**
 * Makes an agent of the file that `bailiwick agents create` and `bailiwick init` write: `{issuer, client_id, jwk}`.
 * @throws BailiwickError `bad_file`; never with a part of the file in it
 */
export function agentFromFile(
  path: string,
  options: Partial<Omit<AgentOptions, 'clientId' | 'key' | 'certificate' | 'svid'>> = {},
): Agent {
  return createAgent({ ...options, ...readIdentityFile(path, options.issuer) });
}

/**
 * Who an agent's file says that it is.
 * @param issuer in place of the file's
 * @throws BailiwickError `bad_file`
 */
export function readIdentityFile(path: string, issuer?: string): { issuer: string; clientId: string; key: PrivateJwk } {
  const { issuer: named, client_id: clientId, jwk } = readObject(path);
  if (typeof named !== 'string' || typeof clientId !== 'string' || !isJsonObject(jwk)) {
    throw new BailiwickError('bad_file', `${path} is not an agent's file`, {
      hint: 'it must be JSON with issuer, client_id and jwk, as bailiwick writes it',
    });
  }
  return { issuer: issuer ?? named, clientId, key: jwk as unknown as PrivateJwk };
}

function readObject(path: string): JsonObject {
  const text = readText(path);
  try {
    const value: unknown = JSON.parse(text);
    if (isJsonObject(value)) return value;
  } catch {
    // JSON.parse quotes what it can't read, and that may be the key.
  }
  throw new BailiwickError('bad_file', `${path} is not JSON`, { hint: 'was it cut off or edited?' });
}

function readText(path: string): string {
  try {
    warnIfOpen(path);
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException;
    throw new BailiwickError('bad_file', `${path} can't be read (${code})`, {
      hint: 'is the path right, and the file yours?',
    });
  }
}

/** A warning and no refusal: mounted secrets of containers are often readable by all, in a house where nobody else lives. */
function warnIfOpen(path: string): void {
  if (process.platform === 'win32' || (statSync(path).mode & 0o077) === 0) return;
  process.emitWarning(`${path} holds a private key and others may read it: chmod 600 ${path}`, {
    code: 'BAILIWICK_OPEN_FILE',
  });
}
