/**
 * Keeps foreign bundles as new as their endpoints have them: by the hint of each, and when something was signed by an authority that
 * we don't know. Of all nodes one asks; a bundle that differs is in force everywhere from its commit on.
 */

import { certificateThumbprint, type PublicJwk, thumbprint } from '@bailiwick/protocol';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import type { Bundle } from '../lib/trust-bundle.ts';
import { asOf, touchRegistry } from '../liveness/liveness.ts';
import { bundleIn, foreignBundle } from './bundles.ts';
import { BundleError, type FetchedBundle, fetchBundle, type KnownBundle } from './endpoint.ts';
import { type Confirmation, claimAttempt, confirmBundle, findTrustDomainOf, noteFault, selectDue } from './store.ts';
import { refreshEvery, type TrustDomain } from './trust-domain.ts';

/** How long an endpoint has peace after it was asked, whoever shows us identities that we can't judge. Milliseconds. */
const askedAtMostEvery = 30_000;
const atOnce = 8;
const perRound = 200;

/** When to ask next (ms): up to a tenth early, so that what was registered together is not asked together. */
export function nextRound(deps: Pick<Deps, 'clock' | 'random'>, hint: number | undefined): number {
  const early = deps.random.bytes(2).readUInt16BE() / 0x10000 / 10;
  return deps.clock.now() + Math.round(refreshEvery(hint) * (1 - early));
}

/**
 * One round of the job: asks every endpoint that is due, until `ending`. Faults are noted with the trust domain, and the log says them.
 */
export async function refreshDue(deps: Deps, ending?: AbortSignal): Promise<void> {
  const due = await selectDue(deps.db, deps.clock.now(), perRound);
  const workers = Array.from({ length: Math.min(atOnce, due.length) }, async () => {
    for (let domain = due.shift(); domain !== undefined && !ending?.aborted; domain = due.shift()) {
      await refresh(deps, domain, domain.triedAt ?? 0).catch((err) =>
        deps.log.error({ err }, 'a foreign bundle could not be kept'),
      );
    }
  });
  await Promise.all(workers);
}

const underWay = new WeakMap<object, Map<string, Promise<void>>>();

/**
 * Asks the endpoint of a trust domain now, because an identity of it was signed by an authority that its bundle doesn't have. Not
 * more than every 30 s, whoever asks on whatever node; who comes while it is under way waits for it.
 * @returns the bundle as it is known after that
 */
export async function refreshedBundle(deps: Deps, trustDomain: string, org: string): Promise<Bundle | undefined> {
  const domain = await findTrustDomainOf(deps.db, org, trustDomain);
  if (domain?.endpoint !== undefined) {
    let running = underWay.get(deps.db);
    if (!running) {
      running = new Map();
      underWay.set(deps.db, running);
    }
    const started = running.get(domain.id) ?? refresh(deps, domain, deps.clock.now() - askedAtMostEvery);
    running.set(domain.id, started);
    try {
      await started;
    } finally {
      running.delete(domain.id);
    }
  }
  return foreignBundle(deps, (await asOf(deps.db)).version, trustDomain, org);
}

/** @param since not if it was asked after this (ms) */
async function refresh(deps: Deps, domain: TrustDomain, since: number): Promise<void> {
  const { endpoint } = domain;
  if (endpoint === undefined) return;
  const dueAt = nextRound(deps, bundleIn(domain)?.refreshHint);
  const mine = await deps.db.settle((tx) => claimAttempt(tx, domain.id, { now: deps.clock.now(), since, dueAt }));
  if (!mine) return;
  let fetched: FetchedBundle;
  try {
    fetched = await fetchBundle(deps, { ...domain, endpoint }, knownBundles(deps, domain));
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    deps.log.warn({ trust_domain: domain.name, why: error.message }, 'a foreign bundle could not be fetched');
    await deps.db.settle((tx) => noteFault(tx, domain, error.message));
    return;
  }
  await keep(deps, domain, fetched);
}

/** What an `https_spiffe` endpoint is verified by: of its own trust domain the last bundle, even one that is believed no more. */
export function knownBundles(deps: Deps, domain: Pick<TrustDomain, 'name' | 'org' | 'bundle'>): KnownBundle {
  return async (name) =>
    name === domain.name ? bundleIn(domain) : foreignBundle(deps, (await asOf(deps.db)).version, name, domain.org);
}

/** What is written down of a bundle that has just been fetched. */
export function confirmationOf(deps: Pick<Deps, 'clock' | 'random'>, { text, bundle }: FetchedBundle): Confirmation {
  const { sequence, refreshHint } = bundle;
  return { bundle: text, sequence, now: deps.clock.now(), dueAt: nextRound(deps, refreshHint) };
}

async function keep(deps: Deps, domain: TrustDomain, fetched: FetchedBundle): Promise<void> {
  const { text, bundle } = fetched;
  const news = confirmationOf(deps, fetched);
  if (text === domain.bundle) {
    await deps.db.settle((tx) => confirmBundle(tx, domain, news));
    return;
  }
  const sealing = await sealingFor(deps, (await asOf(deps.db)).version, domain.org);
  await deps.db.transaction(async (tx) => {
    if (!(await confirmBundle(tx, domain, news))) return;
    await touchRegistry(tx); // every node reads it anew, so that an authority that was taken away is gone at once
    await appendEvent(tx, deps, sealing, {
      type: 'trust_domain.refreshed',
      outcome: 'allowed',
      org: domain.org,
      target: domain.id,
      reason: `fetched from its ${domain.endpoint?.profile} endpoint`,
      decided_on: { name: domain.name, ...difference(bundleIn(domain), bundle) },
      personal: {},
    });
  });
}

/** Which authorities came and went, by thumbprint: a `kid` is any text that its owner chose, which the log would keep for ever. */
export function difference(before: Bundle | undefined, after: Bundle) {
  const [old, young] = [authoritiesOf(before), authoritiesOf(after)];
  return {
    ...(after.sequence !== undefined && { sequence: after.sequence }),
    added: young.filter((one) => !old.includes(one)),
    removed: old.filter((one) => !young.includes(one)),
  };
}

function authoritiesOf(bundle: Bundle | undefined): string[] {
  if (bundle === undefined) return [];
  const keys = [...bundle.jwtAuthorities.values()].map(({ key }) =>
    thumbprint(key.export({ format: 'jwk' }) as PublicJwk),
  );
  return [...bundle.x509Authorities.map((der) => certificateThumbprint(der)), ...keys];
}
