/** Test support: a request as an agent makes it every day, and what a policy says of it. */
import { loadPolicyEngine, type PolicySource } from '../policy/engine.ts';
import type { AgentPrincipal, PolicyAnswer, PolicyContext, PolicyRequest } from '../policy/request.ts';

export const agentPrincipal: AgentPrincipal = {
  type: 'Agent',
  id: 'agt_1',
  name: 'desk',
  kind: 'ai_agent',
  environment: 'production',
  owner: 'tea_1',
  roles: ['reader'],
  instance: undefined,
  attested: { zone: 'eu' },
};

export const context: PolicyContext = {
  at: Date.UTC(2026, 10, 23, 8, 30),
  timeZone: 'Europe/Vienna',
  address: '10.1.2.3',
  country: 'AT',
  zone: undefined,
  task: undefined,
  binding: 'dpop',
  method: 'private_key_jwt',
  proofAge: 0,
  scope: ['tickets:read'],
  details: [],
  chainDepth: 0,
  subject: undefined,
  operation: undefined,
};

export const request: PolicyRequest = {
  principal: agentPrincipal,
  action: 'token:issue',
  resource: { type: 'Api', identifier: 'https://tickets.example', name: 'Tickets', sensitivity: 'low' },
  context,
};

/** What may differ from it. */
export type Change = Partial<Omit<PolicyRequest, 'context'>> & { context?: Partial<PolicyContext> };

/** A policy that permits everything. */
export const permitAll = '@id("all") permit(principal, action, resource);';

export const engine = await loadPolicyEngine();

/** What a text alone decides about the usual request, changed. */
export function decideBy(text: string, change: Change = {}, mode: PolicySource['mode'] = 'enforce'): PolicyAnswer {
  const set = engine.compile([{ name: 'p', text, mode }], '1');
  return engine.evaluate(set, { ...request, ...change, context: { ...context, ...change.context } });
}
