/** Whose identities an organization accepts beside our own, and for how long what is known of them is believed. */

/** A foreign trust domain, as one organization knows it. Two organizations that know the same one know it separately. */
export interface TrustDomain {
  id: string;
  org: string;
  name: string;
  /** Where its bundle is fetched from; without: it was given by an operator, and stays. */
  endpoint: BundleEndpoint | undefined;
  /** The last bundle that was verified, as it was received; undefined before the first. */
  bundle: string | undefined;
  /** The sequence number of that bundle, if it has one. */
  sequence: number | undefined;
  /** When the endpoint last said that this is its bundle (ms), or an operator did. */
  confirmedAt: number | undefined;
  triedAt: number | undefined;
  /** When the endpoint is asked next. */
  dueAt: number | undefined;
  /** Why the last attempt failed, as a sentence; undefined when it did not. */
  fault: string | undefined;
  createdAt: number;
  /** When an operator last changed it; refreshing doesn't. */
  updatedAt: number;
}

export const endpointProfiles = ['https_web', 'https_spiffe'] as const;

/** @see SPIFFE Federation §5.1 and §5.2 */
export interface BundleEndpoint {
  url: string;
  profile: (typeof endpointProfiles)[number];
  /** Who the endpoint must be, with `https_spiffe`. */
  spiffeId?: string;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** When a bundle names none. @see SPIFFE Federation §4.1 */
const defaultHintSeconds = 300;

/** How long until a bundle with this hint (seconds) is fetched again: ms, at least a minute and at most a day. */
export function refreshEvery(hint: number | undefined): number {
  return Math.min(Math.max((hint ?? defaultHintSeconds) * 1000, minuteMs), dayMs);
}

/** For how long a bundle is believed that its endpoint no longer confirms: a day, and twice its interval if that is more. Milliseconds. */
export function believedFor(hint: number | undefined): number {
  return Math.max(dayMs, 2 * refreshEvery(hint));
}

/** When the bundle stops being believed unless its endpoint confirms it (ms); undefined for one that stays. */
export function staleAt(domain: Pick<TrustDomain, 'endpoint' | 'confirmedAt'>, hint: number | undefined) {
  if (domain.endpoint === undefined || domain.confirmedAt === undefined) return undefined;
  return domain.confirmedAt + believedFor(hint);
}
