import { createHash } from 'node:crypto';
import type { Random } from '../lib/random.ts';

/** What each kind of secret begins with, so that a scanner of leaks knows it and a person sees what they hold. */
export const secretPrefixes = { secret: 'bws', enrolment_token: 'bwe' } as const;

export type SecretPrefix = (typeof secretPrefixes)[keyof typeof secretPrefixes];

/** 256 bits of randomness, to be shown once, and the hash that is all that is kept of them. */
export function newSecret(random: Random, prefix: SecretPrefix): { secret: string; hash: string } {
  const secret = `${prefix}_${random.bytes(32).toString('base64url')}`;
  return { secret, hash: hashOf(secret) };
}

/**
 * SHA-256 in base64url, of the whole text, prefix included: the thumbprint of the credential. A fast hash is enough for
 * what no one can guess, and whoever compares hashes learns nothing from the time that it takes.
 */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

/** Whether `text` can be a secret of this kind. What can't is refused before anything is asked of the database. */
export function isSecret(prefix: SecretPrefix, text: string): boolean {
  return text.length === prefix.length + 44 && text.startsWith(`${prefix}_`) && /^[\w-]{43}$/.test(text.slice(-43));
}

/**
 * Until when (ms) shared secrets are accepted at all: the end of the day, in UTC, that the exception names. Undefined
 * without an exception.
 */
export function secretsEndAt(config: { dangerously_client_secrets_until?: string | undefined }): number | undefined {
  const day = config.dangerously_client_secrets_until;
  return day === undefined ? undefined : Date.parse(`${day}T00:00:00Z`) + 24 * 60 * 60 * 1000;
}
