/** Every route of the admin API, in the order in which the documentation shows them. */
import { agentRoleRoutes } from './agent-roles.ts';
import { agentRoutes } from './agents.ts';
import { certificateAuthorityRoutes } from './certificate-authority.ts';
import { credentialRoutes } from './credentials.ts';
import { drillRoutes } from './drills.ts';
import { eventRoutes } from './events.ts';
import { eventTailRoutes } from './events-tail.ts';
import { exporterRoutes } from './exporters.ts';
import { guardRoutes } from './guards.ts';
import { instanceRoutes } from './instances.ts';
import { keyRoutes } from './keys.ts';
import { mandateRequestRoutes } from './mandate-requests.ts';
import { mandateRoutes } from './mandates.ts';
import { organizationRoutes } from './organizations.ts';
import { personRoutes } from './people.ts';
import { policyRoutes } from './policies.ts';
import { policyExplainRoutes } from './policies-explain.ts';
import { policyRehearsalRoutes } from './policies-rehearsal.ts';
import { resourceRoutes } from './resources.ts';
import { retentionRoutes } from './retention.ts';
import { revocationRoutes } from './revocations.ts';
import { roleRoutes } from './roles.ts';
import type { Route } from './route.ts';
import { signalRoutes } from './signals.ts';
import { taskRoutes } from './tasks.ts';
import { teamRoutes } from './teams.ts';
import { traceRoutes } from './trace.ts';
import { trustDomainRoutes } from './trust-domains.ts';
import { trustedIssuerRoutes } from './trusted-issuers.ts';

export const adminTable = [
  ...organizationRoutes,
  ...personRoutes,
  ...teamRoutes,
  ...agentRoutes,
  ...agentRoleRoutes,
  ...credentialRoutes,
  ...instanceRoutes,
  ...taskRoutes,
  ...mandateRoutes,
  ...mandateRequestRoutes,
  ...resourceRoutes,
  ...roleRoutes,
  ...policyRoutes,
  ...policyRehearsalRoutes,
  ...policyExplainRoutes,
  ...guardRoutes,
  ...trustDomainRoutes,
  ...trustedIssuerRoutes,
  ...signalRoutes,
  ...revocationRoutes,
  ...drillRoutes,
  ...eventRoutes,
  ...eventTailRoutes,
  ...traceRoutes,
  ...exporterRoutes,
  ...retentionRoutes,
  ...keyRoutes,
  ...certificateAuthorityRoutes,
] as const satisfies readonly Route[];
