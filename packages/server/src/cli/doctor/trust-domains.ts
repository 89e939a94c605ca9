/** Whether what is known of foreign trust domains is still confirmed by them. */
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import type { TrustDomain } from '../registry.ts';
import { type Finding, fail, ok, someOf, warn } from './finding.ts';

/** Nothing where no trust domain is registered, or where they are not this identity's to see. */
export async function checkTrustDomains(api: Api): Promise<Finding[]> {
  let domains: TrustDomain[];
  try {
    domains = await api.list<TrustDomain>('/trust-domains');
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return [];
    throw error;
  }
  const check = 'trust domains';
  const named = (some: readonly TrustDomain[]) =>
    someOf(some.map(({ name, fault }) => (fault === undefined ? name : `${name} (${fault})`)));
  const dead = domains.filter(({ status }) => status !== 'current');
  const failing = domains.filter(({ status, fault }) => status === 'current' && fault !== undefined);
  const todo = 'bailiwick trust-domains refresh NAME; then look at its endpoint, and at outbound.…';
  const found = [
    ...(dead.length === 0
      ? []
      : [fail(check, `Nobody of them is believed, since there is no fresh bundle: ${named(dead)}.`, todo)]),
    ...(failing.length === 0
      ? []
      : [warn(check, `Their bundles could not be fetched the last time: ${named(failing)}.`, todo)]),
  ];
  if (found.length > 0 || domains.length === 0) return found;
  return [ok(check, `every bundle is confirmed (${domains.length})`)];
}
