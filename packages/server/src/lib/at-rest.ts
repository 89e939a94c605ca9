/** Encryption of what lies in the database and must not be read with it: AES-256-GCM under a key from outside. */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Random } from './random.ts';

const prefix = 'enc:1:';
const ivBytes = 12;
const tagBytes = 16;

/** How private keys and secrets lie in the database. Part of `deps`. */
export interface AtRest {
  readonly encrypted: boolean;
  /** @param name where the value lies (table and key): it opens nowhere else */
  seal(name: string, text: string): string;
  /**
   * The plain text of what lies there, encrypted or not.
   * @throws WrongKey
   */
  open(name: string, stored: string): string;
}

/** What is encrypted can't be opened: with no key, or with this one. */
export class WrongKey extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WrongKey';
  }
}

/** Everything lies as it is; what is encrypted can't be opened. */
export const plainAtRest: AtRest = {
  encrypted: false,
  seal: (_, text) => text,
  open(_, stored) {
    if (!isEncrypted(stored)) return stored;
    throw new WrongKey(
      'The private keys in the database are encrypted, and no key is configured: set key_encryption.file, .command or .key as it was.',
    );
  },
};

/** @param key 32 bytes */
export function encryptedAtRest(random: Random, key: Buffer): AtRest {
  return {
    encrypted: true,
    seal(name, text) {
      const iv = random.bytes(ivBytes);
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(name, 'utf8'));
      const sealed = Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return prefix + sealed.toString('base64url');
    },
    open(name, stored) {
      if (!isEncrypted(stored)) return stored;
      const bytes = Buffer.from(stored.slice(prefix.length), 'base64url');
      try {
        const iv = bytes.subarray(0, ivBytes);
        const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes });
        decipher.setAAD(Buffer.from(name, 'utf8')).setAuthTag(bytes.subarray(bytes.length - tagBytes));
        const plain = decipher.update(bytes.subarray(ivBytes, bytes.length - tagBytes));
        return Buffer.concat([plain, decipher.final()]).toString('utf8');
      } catch {
        throw new WrongKey(
          'The private keys in the database are encrypted under another key than the one that key_encryption names: configure the one that they were encrypted with.',
        );
      }
    },
  };
}

/** Whether a value lies encrypted. */
export const isEncrypted = (stored: string): boolean => stored.startsWith(prefix);
