/**
 * The agent acts for itself: no person, no chain.
 * @see OAuth 2.1 §4.2, RFC 8707 §2
 */
import { spiffeId } from '../tokens/claims.ts';
import { requestedContext } from './context.ts';
import { requestedDetails } from './details.ts';
import type { Grant } from './grant.ts';
import { requestedMayAct } from './may-act.ts';
import { requestedResource, requestedScope } from './target.ts';
import { namedByTask, requestedTask, taskParameters } from './task.ts';

export const clientCredentials = {
  type: 'client_credentials',
  parameters: ['resource', 'scope', 'authorization_details', 'ctx', 'may_act', ...taskParameters],

  async plan(deps, client, request) {
    const { agent, instance } = client;
    const { resource, registered } = await requestedResource(deps, client, request.form); // RFC 8707 §2: exactly one
    const task = await requestedTask(deps, client, request.form);
    const named = namedByTask(task, resource, request.form); // what the orchestrator named, where the request names nothing
    const details = named?.details ?? (await requestedDetails(resource, request.form)); // RFC 9396 §5
    return {
      grantType: 'client_credentials',
      client,
      subject: instance?.spiffeId ?? spiffeId(deps.config, agent),
      resource,
      scope: named?.scope ?? requestedScope(request.form, registered, details), // OAuth 2.1 §3.2.2.1: nothing unnamed
      details,
      mayAct: await requestedMayAct(deps, client, request.form), // RFC 8693 §4.4
      task,
      context: requestedContext(request.form),
      binding: request.binding,
      spends: [...client.proofs, ...(request.binding?.proofs ?? [])],
    };
  },
} as const satisfies Grant;
