/**
 * Why an agent may do something, or why not: the same functions that decide about a token are asked one by one, about a
 * plan that nobody has, and each answers with a sentence.
 */
import type { AuthorizationDetail, Operation, Requirement, Sensitivity, TokenContext } from '@bailiwick/protocol';
import { operationType } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { isBound, mayAct, mayBeReached } from '../decide/decide.ts';
import { takenBy } from '../decide/in-effect.ts';
import { mustBeInside, narrowedOrDenied, outside, placeOf, type SeenPlace, seenPlace } from '../decide/place.ts';
import type { Client, PlannedTask, TokenPlan } from '../decide/plan.ts';
import { policyRequest } from '../decide/policy.ts';
import { detailsWithinInstance, givenByRoles } from '../decide/roles.ts';
import { sensitivityOf } from '../decide/sensitivity.ts';
import { withinInstance } from '../decide/within-instance.ts';
import { withinTask } from '../decide/within-task.ts';
import type { Deps } from '../deps.ts';
import { namedByTask } from '../grants/task.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Counter } from '../liveness/liveness.ts';
import type { ExplainedStatement, PolicyEngine, PolicySet } from '../policy/engine.ts';
import { outsideInWords, outsideOf } from '../policy/limits.ts';
import type { PolicyAction, PolicyAnswer, PolicyRequest } from '../policy/request.ts';
import type { Resource } from '../resources/resource.ts';
import type { HeldRole } from '../resources/role.ts';
import { type LimitsSaid, limitsOf, type Observed, observedOf, saidOf } from './explanation-words.ts';

/** What somebody would ask for, and under which circumstances. */
export interface Wish {
  resource: Resource;
  operation: Operation | undefined;
  /** Undefined: what the agent's registration means by asking for none. */
  scope: readonly string[] | undefined;
  details: readonly AuthorizationDetail[];
  task: PlannedTask | undefined;
  /** Why nobody may work at it. */
  taskRefused?: OAuthError | undefined;
  address: string | undefined;
  /** Milliseconds. */
  at: number;
  binding: 'dpop' | 'mtls' | 'dpop+mtls' | 'none';
  method: string;
  /** Seconds. */
  proofAge: number;
}

export const layers = [
  'alive',
  'resource',
  'binding',
  'roles',
  'instance',
  'task',
  'place',
  'policy',
  'use',
  'limits',
] as const;

export interface Layer {
  layer: (typeof layers)[number];
  decision: 'allow' | 'deny' | 'step_up';
  /** A sentence for people. */
  says: string;
}

/** What became of a statement of a policy, when it was asked about this action. */
export interface AskedStatement extends ExplainedStatement {
  action: PolicyAction;
}

export interface Explained {
  decision: Layer['decision'];
  layers: Layer[];
  statements: AskedStatement[];
  requirements: readonly Requirement[];
  limits: LimitsSaid;
  /** The statements that decide about the token. */
  by: readonly string[];
  observed?: Observed;
}

/** Whom a wish is about. */
export interface Wishing {
  agent: Agent;
  instance: Instance | undefined;
  held: readonly HeldRole[];
}

/** Asks layer after layer, the later ones even where an earlier one says no: so that all that is in the way is seen at once. */
export function explained(
  deps: Deps,
  engine: PolicyEngine,
  set: PolicySet,
  asOf: Counter,
  { agent, instance, held }: Wishing,
  wish: Wish,
): Explained {
  const { resource, at } = wish;
  const registered = agent.resources.find((each) => each.resource === resource.id);
  const plan = planOf(agent, instance, asOf, wish, registered?.scope ?? []);
  const found: Layer[] = [];
  const look = (layer: Layer['layer'], ask: () => string) => found.push({ layer, ...outcomeOf(ask) });
  look('alive', () => {
    mayAct(agent, at);
    return 'The agent and its organization are active.';
  });
  look('resource', () => {
    mayBeReached(resource, agent);
    if (!registered) throw new OAuthError('invalid_target', 'this resource is not among those of its registration');
    return 'The resource is active, and among those of its registration.';
  });
  const taskRefused = taskRefusal(agent, wish);
  if (taskRefused) {
    look('task', () => {
      throw taskRefused; // before anything is decided, as at the token endpoint
    });
  }
  look('binding', () => {
    isBound(plan);
    return plan.binding
      ? 'Its token would be bound to its key.'
      : 'The resource takes tokens that are bound to no key.';
  });
  look('roles', () => {
    if (plan.scope.length + plan.details.length === 0) {
      throw new OAuthError('invalid_scope', 'nothing is asked for: name scopes, or an operation');
    }
    const { giving } = givenByRoles(plan, held);
    return `Given by the ${giving.length === 1 ? 'role' : 'roles'} ${giving.map(({ roleName }) => roleName).join(', ')}.`;
  });
  if (instance) {
    look('instance', () => {
      withinInstance(plan);
      detailsWithinInstance(plan);
      return instance.allowed === undefined
        ? 'The instance may do what its agent may.'
        : 'The instance was given this.';
    });
  }
  const { task } = wish;
  if (task && !taskRefused) {
    look('task', () => {
      withinTask(plan);
      if (task.provenance === 'declared') return 'The task is what the agent says of itself: it limits nothing here.';
      return task.task.id === ''
        ? 'The task is supposed: as if an orchestrator had opened it.'
        : 'The task is for this.';
    });
  }
  let place: TokenContext | undefined;
  look('place', () => {
    place = placeOf(deps, plan, { address: wish.address ?? 'unknown', at }).context;
    return place === undefined
      ? 'Nothing limits where and when.'
      : 'It is within the places and hours that it is limited to.';
  });
  const last = found.at(-1);
  if (wish.address === undefined && last?.decision === 'deny' && !last.says.endsWith(` ${outside.hours}.`)) {
    found.splice(-1, 1, { ...last, says: `It is limited to places${noAddress}` });
  }
  const asked = policyLayers(deps, engine, set, plan, held, wish);
  const { answer, ...rest } = asked;
  found.push(...asked.layers);
  if (answer?.limits.context !== undefined) {
    const { context } = answer.limits;
    const seen = seenPlace(deps, wish.address, instance);
    look('limits', () => {
      mustBeWithin(answer, seen, at, wish.address === undefined);
      mustBeInside(narrowedOrDenied(place, context), seen, at);
      return 'It is within what the policies limit it to.';
    });
  }
  return { ...rest, layers: found, decision: worst(found) };
}

const noAddress = ', and no address was named: name one with --address.';

/** @throws OAuthError that says whose limits the request is outside of */
function mustBeWithin(answer: PolicyAnswer, place: SeenPlace, at: number, nowhere: boolean): void {
  const seen = { address: place.address, country: place.country, zone: place.zone, at };
  const limiting = outsideOf(answer, seen);
  if (limiting.length === 0) return;
  const unknown = nowhere && limiting.some(({ dimension }) => dimension !== 'hours');
  throw new OAuthError('access_denied', `${outsideInWords(limiting, seen)}${unknown ? noAddress : ''}`);
}

/** Why it can't be the task of this agent, or of any. */
function taskRefusal(agent: Agent, { task, taskRefused }: Wish): OAuthError | undefined {
  if (task?.provenance !== 'orchestrated' || task.task.id === '') return undefined;
  if (task.task.agent !== agent.id) return new OAuthError('invalid_grant', 'there is no such task for this agent');
  return taskRefused;
}

/** The decision of all layers together: no is stronger than not yet. */
function worst(all: readonly Layer[]): Layer['decision'] {
  if (all.some(({ decision }) => decision === 'deny')) return 'deny';
  return all.some(({ decision }) => decision === 'step_up') ? 'step_up' : 'allow';
}

function outcomeOf(ask: () => string): Pick<Layer, 'decision' | 'says'> {
  try {
    return { decision: 'allow', says: ask() };
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error;
    return { decision: 'deny', says: sentence(error.message) };
  }
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`;

function planOf(
  agent: Agent,
  instance: Instance | undefined,
  asOf: Counter,
  wish: Wish,
  registeredScope: readonly string[],
): TokenPlan {
  const { resource, operation, task, binding, method, at, proofAge } = wish;
  // what an operation takes beyond scopes depends on its parameters: then the operation itself is asked for
  const named = operation?.details !== undefined ? [{ type: operationType, actions: [operation.name] }] : [];
  const provenAt = at - proofAge * 1000;
  const client: Client = {
    agent,
    credential: '',
    thumbprint: '',
    credentialEndsAt: undefined,
    method,
    instance,
    provenAt,
    proofs: [],
    asOf,
  };
  const operationScope = operation && operation.details === undefined ? operation.scope : undefined;
  const unnamed = wish.scope === undefined && wish.details.length === 0 && operation === undefined;
  const byTask = unnamed ? namedByTask(task, resource, new Map()) : undefined;
  return {
    grantType: 'client_credentials',
    client,
    subject: '',
    resource,
    scope:
      wish.scope ?? byTask?.scope ?? operationScope ?? (operation || wish.details.length > 0 ? [] : registeredScope),
    details: byTask?.details ?? [...wish.details, ...named],
    task,
    context: undefined,
    binding:
      binding === 'none'
        ? undefined
        : {
            ...(binding !== 'mtls' && { jkt: 'a key' }),
            ...(binding !== 'dpop' && { x5t: 'a certificate' }),
            provenAt,
            proofs: [],
          },
    spends: [],
  };
}

function policyLayers(
  deps: Deps,
  engine: PolicyEngine,
  set: PolicySet,
  plan: TokenPlan,
  held: readonly HeldRole[],
  { operation, resource, address, at }: Wish,
): Asked {
  if (resource.system) {
    const says = 'Policies do not decide about the server’s own APIs: roles alone do.';
    const layer: Layer = { layer: 'policy', decision: 'allow', says };
    return { layers: [layer], statements: [], requirements: [], limits: {}, by: [], answer: undefined };
  }
  const seen = seenPlace(deps, address, plan.client.instance);
  const sensitivity: Sensitivity = sensitivityOf(resource, plan.scope, plan.details);
  const request = policyRequest(plan, { held, sensitivity, seen, now: at });
  const token = asked(engine, set, request, 'policy', 'get the token');
  if (!operation) return token;
  const { name, tool } = operation;
  const { context } = policyRequest(plan, { held, sensitivity, seen, now: at }, takenBy([operation]));
  const use = asked(
    engine,
    set,
    {
      ...request,
      context, // as it is: its getters stay getters
      action: 'resource:access',
      resource: {
        type: tool === undefined ? 'Operation' : 'Tool',
        identifier: resource.identifier,
        name,
        sensitivity: operation.sensitivity,
      },
    },
    'use',
    'use it',
  );
  return {
    ...token,
    layers: [...token.layers, ...use.layers],
    statements: [...token.statements, ...use.statements],
    requirements: [...token.requirements, ...use.requirements],
    ...(!token.observed && use.observed && { observed: use.observed }),
  };
}

type Asked = Omit<Explained, 'decision'> & { answer: PolicyAnswer | undefined };

function asked(
  engine: PolicyEngine,
  set: PolicySet,
  request: PolicyRequest,
  layer: 'policy' | 'use',
  what: string,
): Asked {
  const { answer, statements } = engine.explain(set, request);
  const observed = observedOf(answer, statements);
  return {
    layers: [{ layer, decision: answer.decision, says: saidOf(answer, what) }],
    statements: statements.map((statement) => ({ ...statement, action: request.action })),
    requirements: answer.requirements,
    limits: limitsOf(answer),
    by: answer.determining.map(({ policy }) => policy),
    ...(observed && { observed }),
    answer,
  };
}
