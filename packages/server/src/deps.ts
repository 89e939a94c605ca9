import type { Audit } from './audit/audit.ts';
import type { DpopNonces } from './client-auth/dpop-nonce.ts';
import type { Config } from './config.ts';
import type { Budgets } from './decide/budget.ts';
import type { Keys } from './keys/keys.ts';
import type { AtRest } from './lib/at-rest.ts';
import type { Clock } from './lib/clock.ts';
import type { Failures } from './lib/failures.ts';
import type { Logger } from './lib/log.ts';
import type { Places } from './lib/places.ts';
import type { Random } from './lib/random.ts';
import type { SafeConnect } from './lib/safe-connect.ts';
import type { SafeFetch } from './lib/safe-fetch.ts';
import type { Consumers } from './log/consumers.ts';
import type { Database } from './store/database.ts';

/** What every part of the server is handed. Made once, in `app.ts`; tests hand in their own time. */
export interface Deps {
  config: Config;
  db: Database;
  clock: Clock;
  random: Random;
  log: Logger;
  /** How private keys and secrets lie in the database. */
  encryption: AtRest;
  /** The only way to fetch something from outside. */
  fetch: SafeFetch;
  /** The same for what isn't HTTP. */
  connect: SafeConnect;
  /** What an address tells of where somebody is. */
  places: Places;
  /** What is kept in memory between requests, each by the room that knows it. */
  keys: Keys;
  audit: Audit;
  /** Who reads the log on and takes it elsewhere. */
  consumers: Consumers;
  budgets: Budgets;
  nonces: DpopNonces;
  failures: Failures;
}
