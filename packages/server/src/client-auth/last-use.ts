/** When a credential was last used: noted after the answer, and at most once a minute each, so that nobody waits for it. */
import { boundedCache } from '@bailiwick/protocol';
import { lastUseUnknownMs } from '../credentials/credential.ts';
import { touchCredential } from '../credentials/store.ts';
import type { Deps } from '../deps.ts';

const noted = new WeakMap<object, ReturnType<typeof boundedCache<number>>>();
// the database knows which have an end; of the others it keeps what it has for an hour, and nothing is written
const everyMs = lastUseUnknownMs.ending;

/** Notes that the credential has just proven its agent. Never throws: what fails is logged and tried at the next use. */
export function noteUse(deps: Deps, credential: string): void {
  const known = noted.get(deps.db) ?? boundedCache<number>(50_000);
  noted.set(deps.db, known);
  const now = deps.clock.now();
  const before = known.get(credential);
  if (before !== undefined && now - before < everyMs) return;
  known.set(credential, now);
  deps.db
    .settle((tx) => touchCredential(tx, credential, now))
    .catch((err) => deps.log.warn({ err, credential }, 'the last use of a credential was not noted'));
}
