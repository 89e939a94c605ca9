/**
 * What policy was asked, as an event keeps it, so that the same question can be asked again: of a draft, or of the
 * policies of that time. Every token pays for its bytes: what is usual is left out, and so is what stands elsewhere in
 * the event. What is personal lies sealed with the rest of what is personal in it.
 */
import type { Sensitivity } from '@bailiwick/protocol';
import type { ReadEvent } from '../audit/audit.ts';
import type {
  AgentPrincipal,
  ForeignSubject,
  PolicyAction,
  PolicyContext,
  PolicyRequest,
  PolicyResource,
} from './request.ts';

/** The events that tell of a decision of policy. */
export const decidedEvents = ['token.issued', 'token.refused', 'access.evaluated'] as const;
export type DecidedEvent = (typeof decidedEvents)[number];

/** `decided_on.policy_input`. What is absent is as usual, or stands elsewhere in the event. */
export interface RecordedInput {
  /** Usual: `token:issue`. */
  action?: PolicyAction | undefined;
  /** Usual: `observed`. */
  address_provenance?: 'told' | undefined;
  /** Whole minutes since 1970. */
  at: number;
  /** Usual: `dpop`. */
  binding?: PolicyContext['binding'] | undefined;
  /** Ids of agents. */
  chain?: readonly string[] | undefined;
  chain_depth?: number | undefined;
  /** Types of `authorization_details`. */
  details?: readonly string[] | undefined;
  mandate?: string | undefined;
  method?: string | undefined;
  /** Where the event's own agent only asked: whose doing it would be, or that only the asking side knows who that is. */
  principal?: 'Subject' | RecordedAgent | undefined;
  proof_age?: number | undefined;
  /** Usual: `Api`. */
  resource?: { identifier?: string; name?: string; type?: PolicyResource['type'] } | undefined;
  roles?: readonly string[] | undefined;
  /** All that was asked for in effect. Usual: `decided_on.scope`. */
  scope?: readonly string[] | undefined;
  /** Usual: `low`. */
  sensitivity?: Sensitivity | undefined;
  task?: RecordedTask | undefined;
  /** Usual: `UTC`. */
  time_zone?: string | undefined;
}

type RecordedAgent = Pick<AgentPrincipal, 'environment' | 'id' | 'instance' | 'kind' | 'name'>;

interface TaskWords {
  environment?: string | undefined;
  step?: string | undefined;
  workflow?: string | undefined;
}

interface RecordedTask extends TaskWords {
  /** By the agent itself, or only claimed: then its words are anybody's, and personal. */
  declared?: true;
  id?: string | undefined;
}

/** What is personal of a question and stands in no field of its own in the event: `personal.details.policy_input`. */
export interface PersonalInput {
  address?: string | undefined;
  attested?: Readonly<Record<string, string>> | undefined;
  claimed?: Readonly<Record<string, string>> | undefined;
  object?: Known | undefined;
  /** What the asking side calls the action: its own word. */
  operation?: string | undefined;
  owner?: string | undefined;
  principal?: Known | undefined;
  purpose?: string | undefined;
  subject?: string | undefined;
  /** Of a declared task. */
  task?: TaskWords | undefined;
}

/** Somebody or something that only the asking side knows. */
type Known = Pick<ForeignSubject, 'kind' | 'id' | 'properties'>;

const unless = <Value>(value: Value, usual: Value) => (value === usual ? undefined : value);
const isSame = (some: readonly string[], others: readonly string[]) =>
  some.length === others.length && some.every((one) => others.includes(one));
const some = <Item>(items: readonly Item[]) => (items.length > 0 ? items : undefined);

/**
 * What an event of this type keeps of a question, free of anything personal, in the order of canonical JSON.
 * @param type `access.evaluated`: the event's agent is whoever asked, so all of the principal is told here. Otherwise the event
 *   tells who it is (`agent`, `instance`, `decided_on.client`); and for what (`resource`, `decided_on.scope`) once it was issued
 * @param issued `decided_on.scope` of `token.issued`: what was asked for in effect is told where it is more
 */
export function recorded(
  type: DecidedEvent,
  request: PolicyRequest,
  issued: readonly string[] | undefined = undefined,
): RecordedInput {
  const { principal, action, resource, context } = request;
  const asked = type === 'access.evaluated';
  return {
    action: unless<PolicyAction>(action, 'token:issue'),
    address_provenance: context.addressProvenance === 'observed' ? undefined : 'told',
    at: Math.floor(context.at / 60_000),
    binding: unless<PolicyContext['binding']>(context.binding, 'dpop'),
    chain: context.chain,
    chain_depth: unless(context.chainDepth, 0),
    details: some(context.details),
    mandate: context.mandate,
    method: asked ? context.method : undefined,
    principal: asked ? principalOf(principal) : undefined,
    proof_age: unless(context.proofAge, 0),
    resource: resourceOf(resource, type !== 'token.issued'),
    roles: principal.type === 'Agent' ? some(principal.roles) : undefined,
    scope: issued && isSame(issued, context.scope) ? undefined : some(context.scope),
    sensitivity: resource.type === 'Object' ? undefined : unless<Sensitivity>(resource.sensitivity, 'low'),
    task: context.task && taskOf(context.task),
    time_zone: unless(context.timeZone, 'UTC'),
  };
}

/**
 * What is personal of a question, for the event's sealed `personal.details` (as its member `policy_input`); undefined if all of
 * that stands in the event's own personal fields, as it does for most tokens.
 */
export function recordedPersonal(type: DecidedEvent, request: PolicyRequest): PersonalInput | undefined {
  const { principal, resource, context } = request;
  const personal: PersonalInput = {};
  if (type === 'access.evaluated') {
    if (context.address !== undefined) personal.address = context.address;
    if (principal.type === 'Agent') personal.owner = principal.owner;
  }
  if (principal.type === 'Subject') personal.principal = known(principal);
  else if (Object.keys(principal.attested).length > 0) personal.attested = principal.attested;
  if (context.claimed && Object.keys(context.claimed).length > 0) personal.claimed = context.claimed;
  if (resource.type === 'Object') personal.object = known(resource);
  if (context.operation !== undefined) personal.operation = context.operation;
  if (context.task?.purpose !== undefined) personal.purpose = context.task.purpose;
  const { provenance, environment, step, workflow } = context.task ?? {};
  if (provenance === 'declared' && (environment ?? step ?? workflow) !== undefined) {
    personal.task = { environment, step, workflow };
  }
  if (context.subject !== undefined) personal.subject = context.subject;
  return Object.keys(personal).length > 0 ? personal : undefined;
}

const known = ({ kind, id, properties }: Known): Known => ({ kind, id, properties });

const principalOf = (principal: PolicyRequest['principal']): RecordedInput['principal'] =>
  principal.type === 'Subject'
    ? 'Subject'
    : {
        environment: principal.environment,
        id: principal.id,
        instance: principal.instance,
        kind: principal.kind,
        name: principal.name,
      };

function resourceOf(resource: PolicyResource, named: boolean): RecordedInput['resource'] {
  if (resource.type === 'Object') return { type: 'Object' };
  return {
    ...(named && { identifier: resource.identifier }),
    name: resource.name,
    ...(resource.type !== 'Api' && { type: resource.type }),
  };
}

const taskOf = ({ provenance, environment, id, step, workflow }: NonNullable<PolicyContext['task']>): RecordedTask =>
  provenance === 'declared' ? { declared: true } : { environment, id, step, workflow };

/** What a question needs beside what was recorded of it: what never changes, and what is found from an address. */
export interface Surroundings {
  /** The name of an agent, by its id: it keeps it for ever. */
  agentName(id: string): string | undefined;
  /**
   * What is seen of somebody at this address now.
   * @param address as it was observed; it may be a word that is none
   * @param zone that an instance was vouched to be in
   */
  seen(address: string | undefined, zone: string | undefined): Pick<PolicyContext, 'address' | 'country' | 'zone'>;
}

/** What `tokens/refusal.ts` keeps of a client, as far as it is read here. */
interface EventClient {
  environment?: string;
  kind?: AgentPrincipal['kind'];
  method?: string;
}

/**
 * The question that an event tells of, to be asked again. Country and zone are looked up by the address anew.
 * @returns undefined where policy was not asked, or what is personal of it was erased
 */
export function requestOf(event: ReadEvent, about: Surroundings): PolicyRequest | undefined {
  const { leaf, erased } = event;
  const decidedOn = recordOf(leaf.decided_on);
  const input = decidedOn.policy_input as RecordedInput | undefined;
  if (input === undefined || erased) return undefined;
  const personal = recordOf(recordOf(event.personal.details).policy_input) as PersonalInput;
  const principal = principalFrom(event, input, personal, about);
  const resource = resourceFrom(leaf, input, personal);
  if (!principal || !resource) return undefined;
  const asked = leaf.type === 'access.evaluated';
  const client = recordOf(decidedOn.client) as EventClient;
  const address = asked ? personal.address : (event.personal.address as string | undefined);
  const seen = about.seen(address, principal.type === 'Agent' ? principal.attested.zone : undefined);
  return {
    principal,
    action: input.action ?? 'token:issue',
    resource,
    context: {
      at: input.at * 60_000,
      timeZone: input.time_zone ?? 'UTC',
      address: seen.address,
      addressProvenance: input.address_provenance ?? 'observed',
      get country() {
        return seen.country;
      },
      get zone() {
        return seen.zone;
      },
      task: input.task && taskFrom(input.task, personal),
      binding: input.binding ?? 'dpop',
      method: input.method ?? client.method ?? '',
      proofAge: input.proof_age ?? 0,
      scope: input.scope ?? (decidedOn.scope as string[] | undefined) ?? [],
      details: input.details ?? [],
      chainDepth: input.chain_depth ?? 0,
      subject: personal.subject,
      ...(input.chain && { chain: input.chain }),
      ...(input.mandate !== undefined && { mandate: input.mandate }),
      operation: personal.operation,
      claimed: personal.claimed,
    },
  };
}

function taskFrom({ declared, id, ...told }: RecordedTask, { task, purpose }: PersonalInput): PolicyContext['task'] {
  const { workflow, step, environment } = declared ? (task ?? {}) : told;
  return { provenance: declared ? 'declared' : 'orchestrated', id, workflow, step, environment, purpose };
}

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

function principalFrom(
  { leaf, personal: fields }: ReadEvent,
  input: RecordedInput,
  personal: PersonalInput,
  about: Surroundings,
): PolicyRequest['principal'] | undefined {
  if (input.principal === 'Subject') return personal.principal && { type: 'Subject', ...personal.principal };
  const told = input.principal;
  const client = recordOf(recordOf(leaf.decided_on).client) as EventClient;
  const id = told?.id ?? (leaf.agent as string | undefined);
  const name = told?.name ?? (id === undefined ? undefined : about.agentName(id));
  const kind = told?.kind ?? client.kind;
  const owner = told ? personal.owner : fields.owner;
  if (id === undefined || name === undefined || kind === undefined || typeof owner !== 'string') return undefined;
  return {
    type: 'Agent',
    id,
    name,
    kind,
    environment: told?.environment ?? client.environment ?? '',
    owner,
    roles: input.roles ?? [],
    instance: told ? told.instance : (leaf.instance as string | undefined),
    attested: personal.attested ?? {},
  };
}

function resourceFrom(
  leaf: ReadEvent['leaf'],
  input: RecordedInput,
  personal: PersonalInput,
): PolicyResource | undefined {
  const { type = 'Api', identifier = leaf.resource as string | undefined, name = '' } = input.resource ?? {};
  if (type === 'Object') return personal.object && { type, ...personal.object };
  if (identifier === undefined) return undefined;
  return { type, identifier, name, sensitivity: input.sensitivity ?? 'low' };
}
