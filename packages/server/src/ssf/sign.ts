/** Makes SETs of what waits. @see RFC 8417, SSF 1.0 §4.1 */
import { type EncodedHeader, encodeHeader, signCompact } from '@bailiwick/protocol';
import type { Config } from '../config.ts';
import { type KeyDeps, signingKey } from '../keys/keys.ts';
import { asOf } from '../liveness/liveness.ts';
import { setType } from './events.ts';
import type { SetClaims } from './stream.ts';

/** Signs with the key that signs now: told again, the id is the same and the signature may be another. */
export async function signSets(
  deps: KeyDeps & { config: Pick<Config, 'signals'> },
  claims: readonly SetClaims[],
): Promise<string[]> {
  if (claims.length === 0) return [];
  const { version } = await asOf(deps.db);
  const key = await signingKey(deps, version, deps.config.signals.signing_alg);
  const header: EncodedHeader = encodeHeader({ alg: key.alg, kid: key.kid, typ: setType });
  return claims.map((one) => signCompact(header, one as unknown as Record<string, unknown>, key));
}
