/** What is done now and then beside requests. Nothing that must be true depends on it: it only tidies up. */
import { defaultOrganization } from './admin/first-start.ts';
import type { Deps } from './deps.ts';
import { drillWhenDue } from './drills/schedule.ts';
import { forgetInstances } from './enrol/forget.ts';
import { refreshDue } from './federation/refresh.ts';
import { tidyFeed } from './feed-leases/feed.ts';
import { keepAuthority } from './keys/ca.ts';
import { logFailures } from './lib/failures.ts';
import { caughtUp } from './log/indexer.ts';
import { forgetOrphans } from './log/orphans.ts';
import { newRetiring, type Retiring, retire } from './log/retention.ts';
import { forgetMandates, forgetRequests } from './mandates/forget.ts';
import { forgetReported } from './reports/forget.ts';
import { forgetStatusLists } from './status-lists/status-list.ts';
import { forgetTasks } from './tasks/standing.ts';
import { forgetEndedTokens } from './tokens/forget.ts';
import { forgetSpent } from './tokens/spend.ts';
import { forgetOldAnswers } from './web/idempotency-store.ts';

const everyMs = 60_000;

export interface Jobs {
  /** Waits for the one under way, and does the last of what must not be lost. */
  stop(): Promise<void>;
}

export function startJobs(deps: Deps): Jobs {
  let running = Promise.resolve();
  const ending = new AbortController();
  const timer = setInterval(() => {
    running = tidy(deps, ending.signal).catch((err) =>
      deps.log.error({ err }, 'tidying up failed; it is tried again in a minute'),
    );
    // it takes its time, and a stop doesn't wait for it: the next one begins by resuming the canary
    drillWhenDue(deps, defaultOrganization).catch((err) => deps.log.error({ err }, 'a scheduled drill failed'));
  }, everyMs);
  timer.unref();
  // whoever reads the log puts what is new into its index: they shouldn't find a minute's work
  let indexing: Promise<unknown> = Promise.resolve();
  const indexer = setInterval(() => {
    indexing = caughtUp(deps).catch((err) =>
      deps.log.error({ err }, 'the index of the log could not be brought up to date'),
    );
  }, 5_000);
  indexer.unref();
  return {
    async stop() {
      clearInterval(timer);
      clearInterval(indexer);
      ending.abort();
      await Promise.all([running, indexing]);
      logFailures(deps.failures, deps.log);
    },
  };
}

/** One round: the minute's failed authentications go to the log, what has expired is forgotten, the authority is kept up, foreign bundles are refreshed. */
export async function tidy(deps: Deps, ending?: AbortSignal): Promise<void> {
  await Promise.all([tidyUp(deps), keepUp(deps), refreshDue(deps, ending), retired(deps)]); // none waits for another, nor fails with it
}

async function retired(deps: Deps): Promise<void> {
  await retire(deps, retiringOf(deps));
  await forgetOrphans(deps);
}

const retiring = new WeakMap<Deps, Retiring>();

function retiringOf(deps: Deps): Retiring {
  const known = retiring.get(deps) ?? newRetiring();
  retiring.set(deps, known);
  return known;
}

async function keepUp(deps: Deps): Promise<void> {
  if (await keepAuthority(deps)) deps.log.info({}, 'the certificate authority was kept up: see `bailiwick ca show`');
}

async function tidyUp(deps: Deps): Promise<void> {
  logFailures(deps.failures, deps.log);
  await forgetSpent(deps);
  await forgetInstances(deps);
  await forgetTasks(deps);
  await forgetMandates(deps);
  await forgetRequests(deps);
  await forgetEndedTokens(deps);
  await tidyFeed(deps);
  await forgetReported(deps);
  await forgetStatusLists(deps);
  await deps.db.settle((tx) => forgetOldAnswers(tx, deps.clock.now()));
}
