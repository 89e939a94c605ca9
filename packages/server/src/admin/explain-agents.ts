/** Explanations about what nobody has asked for yet. */
import { ProtocolError, parseDetails } from '@bailiwick/protocol';
import { findInstance } from '../agents/instance-store.ts';
import { findAgent, selectAgents } from '../agents/store.ts';
import type { PlannedTask } from '../decide/plan.ts';
import { planned } from '../grants/task.ts';
import { didYouMeanHint } from '../lib/did-you-mean.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { pauses } from '../lib/pauses.ts';
import { loadPolicyEngine } from '../policy/engine.ts';
import { policySetOf } from '../policy/policies.ts';
import { checkDetails } from '../resources/details-schema.ts';
import type { Resource } from '../resources/resource.ts';
import { rolesOf, rolesOfAgents } from '../resources/role-store.ts';
import { findTask } from '../tasks/store.ts';
import type { Task } from '../tasks/task.ts';
import { cursorAfter, readCursor } from '../web/paging.ts';
import { invalid } from '../web/problem.ts';
import { type Explained, explained, type Wish } from './explanation.ts';
import type { ExplainAnswer, ExplainQuestion } from './policies-explain.ts';
import { knownResource, within } from './reach.ts';
import type { Call } from './route.ts';

type About<What extends ExplainAnswer['about']> = Extract<ExplainAnswer, { about: What }>;

/** @throws Problem 404 for an agent that isn't there, 422 naming what else isn't */
export async function explainAgent(call: Call, body: ExplainQuestion, reference: string): Promise<About<'agent'>> {
  const { deps, q, caller } = call;
  const id = body.agent ?? '';
  const agent = within(call, 'agent', id, await findAgent(q, id));
  const instance = body.instance === undefined ? undefined : await findInstance(q, body.instance);
  if (body.instance !== undefined && instance?.agent !== agent.id) {
    throw invalid('instance', 'must be the id of an instance of the agent');
  }
  const wish = await wishOf(call, agent.org, body, reference);
  const engine = await loadPolicyEngine();
  const set = await policySetOf(deps, caller.asOf.version, agent.org);
  const held = await rolesOf(q, agent.id);
  const result = explained(deps, engine, set, caller.asOf, { agent, instance, held }, wish);
  const named = { id: agent.id, name: agent.name };
  const as_of = asOf(wish, agent.orgTimeZone);
  return { about: 'agent', agent: named, as_of, layers: result.layers, says: summary(result), ...shown(result) };
}

const asOf = ({ at }: Wish, timeZone: string) => ({ at: new Date(at).toISOString(), time_zone: timeZone });

/** All active agents of the organization, page by page. */
export async function explainAgents(call: Call, body: ExplainQuestion, reference: string): Promise<About<'agents'>> {
  const { deps, q, caller, org } = call;
  if (body.instance !== undefined) throw invalid('instance', 'must not be there without its agent');
  const wish = await wishOf(call, org.id, body, reference);
  if (wish.scope === undefined && wish.operation === undefined && wish.details.length === 0) {
    throw invalid('scope', 'must be there, or an operation: every agent asks for something else by default');
  }
  const engine = await loadPolicyEngine();
  const set = await policySetOf(deps, caller.asOf.version, org.id);
  const after = readCursor('agent', body.cursor);
  const agents = await selectAgents(q, { org: org.id, status: 'active', after, limit: body.limit + 1 });
  const page = agents.slice(0, body.limit);
  const roles = await rolesOfAgents(
    q,
    page.map(({ id }) => id),
  );
  const items: About<'agents'>['items'] = [];
  const pause = pauses();
  for (const agent of page) {
    await pause();
    const held = roles.get(agent.id) ?? [];
    const result = explained(deps, engine, set, caller.asOf, { agent, instance: undefined, held }, wish);
    items.push({
      agent: { id: agent.id, name: agent.name },
      decision: result.decision,
      says: summary(result),
      requirements: [...result.requirements],
      given: agent.resources.some((each) => each.resource === wish.resource.id),
    });
  }
  const last = page.at(-1);
  const as_of = asOf(wish, org.timeZone);
  return {
    about: 'agents',
    as_of,
    items,
    ...(agents.length > body.limit && last && { next_cursor: cursorAfter(last.id) }),
  };
}

/** What is in the way first; by what it is allowed, if nothing is. */
function summary({ layers, decision, by }: Explained): string {
  const first = layers.find((one) => one.decision === 'deny') ?? layers.find((one) => one.decision === 'step_up');
  if (decision !== 'allow' && first) return first.says;
  const given = layers.find(({ layer }) => layer === 'roles')?.says ?? '';
  if (by.length === 0) return given;
  return `${given.replace(/\.$/, '')}; ${by.join(', ')} ${by.length === 1 ? 'permits' : 'permit'} it.`;
}

const shown = ({ decision, statements, requirements, limits, observed }: Explained) => ({
  decision,
  statements: statements.map(({ reason, ...rest }) => ({ ...rest, ...(reason !== undefined && { reason }) })),
  requirements: [...requirements],
  limits: { ...limits },
  ...(observed && { observed }),
});

async function wishOf(call: Call, org: string, body: ExplainQuestion, reference: string): Promise<Wish> {
  const resource = await knownResource(call, org, reference, 'resource');
  return {
    resource,
    operation: operationOf(resource, body.operation),
    scope: body.scope,
    details: await detailsOf(resource, body.authorization_details),
    ...(await taskOf(call, org, body)),
    address: body.address,
    at: body.at === undefined ? call.now : Date.parse(body.at),
    binding: body.binding,
    method: body.method,
    proofAge: body.proof_age,
  };
}

function operationOf({ operations, name: resource }: Resource, name: string | undefined) {
  if (name === undefined) return undefined;
  const operation = operations.find((one) => one.name === name || one.tool === name);
  if (operation) return operation;
  const names = operations.map((one) => one.name);
  throw invalid('operation', `must be an operation of ${resource}.${didYouMeanHint(name, names)}`);
}

async function detailsOf(resource: Resource, given: ExplainQuestion['authorization_details']) {
  if (given === undefined) return [];
  const field = 'authorization_details';
  try {
    const details = parseDetails(JSON.stringify(given));
    await checkDetails(resource.detailsTypes, details, field);
    return details;
  } catch (error) {
    if (error instanceof ProtocolError) throw invalid(field, error.message);
    throw error;
  }
}

/** One that is open, or one that is made up: opened by an orchestrator for anything that the agent may, or the agent's own words. */
async function taskOf(
  { q, now, deps, caller }: Call,
  org: string,
  { task, agent, at }: ExplainQuestion,
): Promise<Pick<Wish, 'task' | 'taskRefused'>> {
  if (task === undefined) return { task: undefined };
  if (typeof task === 'string') {
    const known = await findTask(q, task);
    if (known?.org !== org) throw invalid('task', 'must be the id of a task of the same organization');
    if (agent !== undefined && known.agent !== agent) throw invalid('task', 'must be a task of this agent');
    const asked = { agent: { id: known.agent }, asOf: caller.asOf };
    try {
      return { task: await planned(deps, asked, known, 'opened', at === undefined ? now : Date.parse(at)) };
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error;
      return { task: orchestrated(known), taskRefused: error };
    }
  }
  const { provenance, ...words } = task;
  if (provenance === 'declared') {
    const { workflow, step, purpose } = words;
    return {
      task: { provenance, workflow, ...(step !== undefined && { step }), ...(purpose !== undefined && { purpose }) },
    };
  }
  const supposed = orchestrated({
    id: '',
    org,
    agent: agent ?? '',
    orchestrator: '',
    workflow: words.workflow,
    step: words.step,
    environment: words.environment,
    purpose: words.purpose ?? '',
    resources: undefined,
    restsOn: [],
    rev: 0,
    createdAt: now,
    endsAt: now + 60_000,
    endedAt: undefined,
  });
  return { task: supposed };
}

const orchestrated = (task: Task): PlannedTask => ({
  provenance: 'orchestrated',
  task,
  isNew: false,
  links: [],
  owner: '',
});
