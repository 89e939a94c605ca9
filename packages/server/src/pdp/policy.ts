/** Asks the policies of an organization, as they are at one version of the registry. */
import type { Deps } from '../deps.ts';
import { loadPolicyEngine, type PolicyEngine } from '../policy/engine.ts';
import { policySetOf } from '../policy/policies.ts';
import type { PolicyRequest } from '../policy/request.ts';
import type { PolicySaid } from './verdict.ts';

/** @throws Error when they can't be asked: whoever asks hears of a failure, and takes that for a no */
export async function askPolicy(deps: Deps, version: number, org: string, request: PolicyRequest): Promise<PolicySaid> {
  const engine = await loadPolicyEngine();
  const set = await policySetOf(deps, version, org);
  return { answer: engine.evaluate(set, request), policy: `${org}/${set.revision}` };
}

/** What the policies that are enforced call by its name. */
export async function namedInPolicies(
  deps: Deps,
  version: number,
  org: string,
): Promise<ReturnType<PolicyEngine['named']>> {
  const engine = await loadPolicyEngine();
  return engine.named(await policySetOf(deps, version, org));
}
