/** Who may do this and why not: for one agent, for all of them, and for what was decided once. */
import { z } from 'zod';
import { policyActions } from '../policy/request.ts';
import { insufficientScope } from '../web/caller.ts';
import { pageLimits } from '../web/paging.ts';
import { invalid } from '../web/problem.ts';
import { explainAgent, explainAgents } from './explain-agents.ts';
import { explainEvent } from './explain-event.ts';
import { layers } from './explanation.ts';
import { idOf, line, oneOf, record, scopeName, setOf, shownTime, slug, taskName, time, wholeNumber } from './fields.ts';
import { ask, type Call } from './route.ts';
import { type AdminScope, adminResource } from './scopes.ts';

/** As an orchestrator would open it; what an agent says of itself may be any words. */
const hypotheticalTask = record({
  workflow: line(100, 1),
  step: line(100, 1).optional(),
  environment: slug.optional(),
  purpose: line(2000, 1).optional(),
  provenance: oneOf(['orchestrated', 'declared']).default('orchestrated'),
}).superRefine(({ provenance, ...words }, refused) => {
  if (provenance === 'declared') return;
  for (const name of ['workflow', 'step'] as const) {
    const read = taskName.optional().safeParse(words[name]);
    if (!read.success) refused.addIssue({ code: 'custom', path: [name], message: read.error.issues[0]?.message });
  }
});

const question = record({
  event: idOf('event').optional().meta({ description: 'What was decided then: an event of the log.' }),
  jti: line(200, 1).optional().meta({ description: 'The same by the token that was issued.' }),
  agent: idOf('agent').optional().meta({ description: 'Without: all active agents of the organization.' }),
  instance: idOf('instance').optional(),
  resource: line(512, 1).optional().meta({ description: 'Id or identifier of what would be asked for.' }),
  operation: line(256, 1).optional().meta({ description: 'Name of an operation or tool of it.' }),
  scope: setOf(scopeName, 100, 'scopes').optional(),
  authorization_details: z.array(z.record(z.string(), z.unknown())).max(20).optional(),
  task: z
    .union([idOf('task'), hypotheticalTask], { error: 'must be the id of a task, or {workflow, step, …, provenance}' })
    .optional(),
  address: z.union([z.ipv4(), z.ipv6()], { error: 'must be an IP address' }).optional(),
  at: time.optional().meta({ description: 'Now, unless said otherwise.' }),
  binding: oneOf(['dpop', 'mtls', 'dpop+mtls', 'none']).default('dpop'),
  method: line(64, 1).default('private_key_jwt').meta({ description: 'How the client would prove who it is.' }),
  proof_age: wholeNumber(0, 86_400).default(0).meta({ description: 'Seconds since what it shows was made.' }),
  limit: wholeNumber(1, pageLimits.most).default(pageLimits.default),
  cursor: line(200)
    .optional()
    .meta({ description: 'The next_cursor of the page before, where it is about all agents.' }),
});

export type ExplainQuestion = z.output<typeof question>;

const decision = oneOf(['allow', 'deny', 'step_up']);

const layer = z.strictObject({ layer: oneOf(layers), decision, says: z.string() });

const statement = z.strictObject({
  policy: z.string(),
  action: oneOf(policyActions),
  effect: oneOf(['permit', 'forbid']),
  mode: oneOf(['enforce', 'observe']),
  outcome: oneOf(['satisfied', 'not_satisfied', 'error', 'out_of_scope']),
  because: oneOf(['principal', 'action', 'resource'])
    .optional()
    .meta({ description: 'Of one that is out of scope: which part of its head is about something else.' }),
  message: z.string().optional(),
  reason: z.string().optional(),
});

const said = {
  decision,
  says: z.string(),
  statements: z.array(statement),
  requirements: z.array(z.looseObject({ type: z.string() })).meta({ description: 'With step_up: what would lift it.' }),
  limits: z
    .looseObject({
      lifetime_seconds: z.int().optional(),
      by: z.array(z.looseObject({ policy: z.string() })).optional(),
    })
    .meta({
      description: 'What policies limit the token to: `context` and `lifetime_seconds`, and `by` which statements.',
    }),
  observed: z
    .strictObject({ decision, by: z.array(z.string()), says: z.string() })
    .optional()
    .meta({ description: 'What policies that are only observed would make of it, where that is something else.' }),
};

const asOf = z
  .strictObject({ at: shownTime, time_zone: z.string() })
  .meta({ description: 'The time that policies were asked about, and the time zone in which they see it.' });

const named = z.strictObject({ id: idOf('agent'), name: z.string() });

const answer = z.discriminatedUnion('about', [
  z.strictObject({ about: z.literal('agent'), agent: named, as_of: asOf, layers: z.array(layer), ...said }),
  z.strictObject({
    about: z.literal('agents'),
    as_of: asOf,
    items: z.array(
      z.strictObject({
        agent: named,
        decision,
        says: z.string(),
        requirements: said.requirements,
        given: z.boolean().meta({ description: 'Whether the resource is among those of its registration.' }),
      }),
    ),
    next_cursor: z.string().optional(),
  }),
  z.strictObject({
    about: z.literal('event'),
    event: z.strictObject({
      id: idOf('event'),
      at: shownTime,
      type: z.string(),
      outcome: z.string(),
      reason: z.string().optional(),
    }),
    asked: z.boolean().meta({ description: 'Whether policies were asked, and can be asked again.' }),
    as_of: asOf.optional(),
    says: z.string(),
    at_the_time: z.strictObject({ revision: z.int(), ...said }).optional(),
    now: z.strictObject({ revision: z.int(), ...said }).optional(),
    differs: z.boolean().optional().meta({ description: 'Whether today’s policies decide otherwise.' }),
  }),
]);

export type ExplainAnswer = z.output<typeof answer>;

/** An explanation tells what otherwise takes this scope. @throws Problem 403 `insufficient_scope` */
function mayRead({ caller, deps }: Call, scope: AdminScope): void {
  if (caller.scopes.includes(scope)) return;
  const needed = ['policies:read', scope];
  throw insufficientScope(adminResource(deps.config), needed, `this needs ${scope}, which the token does not have`);
}

export const policyExplainRoutes = [
  ask({
    id: 'explainPolicies',
    path: '/policies/explain',
    summary: 'Learn who may do something and why not, or why something was decided',
    description:
      'About one agent it answers layer by layer: alive, resource, binding, roles, instance, task, place, and what every statement of the policies ' +
      'says to it. Without an agent it goes through all that are active. About an event it asks the policies as they were then, and as they are now. ' +
      'What it tells of agents takes `agents:read` as well, and what it tells of events `events:read`.',
    scopes: ['policies:read'],
    body: question,
    example: { resource: 'https://tickets.example.com/api', scope: ['tickets:read'], address: '192.0.2.7' },
    response: answer,
    async handler(call, { body }): Promise<ExplainAnswer> {
      const { event, jti, resource } = body;
      const given = [event, jti, resource].filter((one) => one !== undefined);
      if (given.length !== 1) throw invalid('resource', 'must be there, or an event, or a jti: one of the three');
      mayRead(call, resource === undefined ? 'events:read' : 'agents:read');
      if (resource === undefined) return explainEvent(call, { event, jti });
      return body.agent === undefined ? explainAgents(call, body, resource) : explainAgent(call, body, resource);
    },
  }),
] as const;
