/** Where the decision point answers, in one table: routes and metadata derive from it. @see AuthZEN 1.0 §10.1 */
export const pdpEndpoints = {
  evaluation: { path: '/access/v1/evaluation', parameter: 'access_evaluation_endpoint' },
  evaluations: { path: '/access/v1/evaluations', parameter: 'access_evaluations_endpoint' },
  subject: { path: '/access/v1/search/subject', parameter: 'search_subject_endpoint' },
  resource: { path: '/access/v1/search/resource', parameter: 'search_resource_endpoint' },
  action: { path: '/access/v1/search/action', parameter: 'search_action_endpoint' },
} as const;

export type PdpEndpoint = keyof typeof pdpEndpoints;

/** What the decision point says of itself. @see AuthZEN 1.0 §9.1 */
export const pdpMetadata = ({ issuer }: { issuer: string }): Record<string, string> => ({
  policy_decision_point: issuer,
  ...Object.fromEntries(Object.values(pdpEndpoints).map(({ path, parameter }) => [parameter, issuer + path])),
});

/** Where it says so: before the issuer's path, and behind it for those who mix the two up. @see AuthZEN 1.0 §9.2 */
export function pdpMetadataPaths({ issuer }: { issuer: string }): string[] {
  const { pathname } = new URL(issuer);
  const path = pathname === '/' ? '' : pathname;
  const wellKnown = '/.well-known/authzen-configuration';
  return [...new Set([wellKnown + path, path + wellKnown])];
}
