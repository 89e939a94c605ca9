import type { AtRest } from '../lib/at-rest.ts';
import type { Clock } from '../lib/clock.ts';
import type { Random } from '../lib/random.ts';
import type { Database } from './database.ts';

/**
 * A secret of this deployment that all its nodes share, by name: 32 bytes, made by whoever asks first.
 * It never changes; what rotates is derived from it.
 */
export async function sharedSecret(
  deps: { db: Database; clock: Clock; random: Random; encryption: AtRest },
  name: 'blind-index' | 'dpop-nonce' | 'cursor' | 'feed-session',
): Promise<Buffer> {
  const known = await deps.db.get<{ value: string }>('select value from secrets where name = ?', [name]);
  const opened = (value: string) => Buffer.from(deps.encryption.open(secretName(name), value), 'base64url');
  if (known) return opened(known.value);
  const fresh = deps.random.bytes(32).toString('base64url');
  const stored = await deps.db.transaction(async (tx) => {
    await tx.run('insert into secrets (name, value, created_at) values (?, ?, ?) on conflict do nothing', [
      name,
      deps.encryption.seal(secretName(name), fresh),
      deps.clock.now(),
    ]);
    return tx.get<{ value: string }>('select value from secrets where name = ?', [name]);
  });
  return opened((stored as { value: string }).value);
}

/** Where what an exporter needs secretly lies, for encryption. */
export const exporterSecretName = (id: string): string => `exporters/${id}`;

/** Where a secret lies, for encryption. */
export const secretName = (name: string): string => `secrets/${name}`;

/** The same for what belongs to a stream or source of signals. */
export const signalSecretName = (id: string): string => `signal_secrets/${id}`;
