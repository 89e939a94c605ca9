import {
  type AuthorizationDetail,
  isJsonObject,
  isPrintable,
  type JsonObject,
  operationType,
  type Passing,
  type PowerLimits,
  type PowerTask,
  type TokenContext,
} from '@bailiwick/protocol';
import { detailsIn, scopeList } from './asked.ts';
import { BailiwickError } from './errors.ts';
import type { AgentFetch } from './fetch.ts';
import type { Deps } from './options.ts';
import { callOwn, type OwnApi } from './own-api.ts';
import { isMandateId } from './subject.ts';

/** The record that somebody let an agent act for them. `Scope`: the names of its scopes, where they are known. */
export interface Mandate<Scope extends string = string> {
  /** `mdt_…` */
  readonly id: string;
  /** For whom: the same in all that it is passed on to. */
  readonly person: string;
  /** Who may act, and which running copy of it, if it is for one alone. */
  readonly agent: string;
  readonly instance: string | undefined;
  /** The mandate that it is a part of. */
  readonly parent: string | undefined;
  readonly resources: readonly MandateResource<Scope>[];
  readonly context: TokenContext | undefined;
  /** What the task has to say at which it is used. */
  readonly task: PowerTask | undefined;
  readonly limits: PowerLimits;
  /** How much of what is limited is spent. */
  readonly ledger: readonly { readonly counter: string; readonly spent: number; readonly most: number }[];
  readonly passing: Passing;
  /** `stopped`: something that it rests on is paused, suspended or over. */
  readonly status: 'active' | 'paused' | 'ended' | 'expired' | 'stopped';
  /** In ms. */
  readonly expiresAt: number;
}

/** What a mandate lets an agent do on one API. */
export interface MandateResource<Scope extends string = string> {
  readonly resource: string;
  readonly scope: readonly Scope[];
  readonly details: readonly AuthorizationDetail[];
}

/** A part of a mandate: less than it or the same, in every dimension. What isn't said is as the mandate has it. */
export interface MandatePart<Given extends string = string, Scope extends Given = Given> {
  /** A mandate that the agent holds. */
  mandate: string | Mandate<Given>;
  /** The API of `scope` and `details`; it needn't be named where the mandate is for one alone, and at hand. */
  resource?: string;
  scope?: readonly Scope[];
  details?: readonly AuthorizationDetail[];
  /** In place of these three, where it is for several APIs. */
  resources?: readonly { resource: string; scope?: readonly Scope[]; details?: readonly AuthorizationDetail[] }[];
  /** Where and when it may be used. */
  ctx?: TokenContext;
  task?: PowerTask;
  limits?: PowerLimits;
  /** Whether it may be passed on in turn: not, unless this says so. */
  passing?: Passing;
  lifetimeSeconds?: number;
}

export interface DelegateOptions<Given extends string = string, Scope extends Given = Given>
  extends MandatePart<Given, Scope> {
  /** Who may act on it: an agent of the same organization (`agt_…`), or one running copy of an agent (`ins_…`). */
  to: string;
}

/** A mandate that this agent passed on: it can end it, and all that comes of it. */
export interface PassedOn<Scope extends string = string> extends Mandate<Scope>, AsyncDisposable {
  /** Ends it, its tokens, and what was passed on of it. Again does nothing. */
  end(): Promise<void>;
}

export const mandatesApi: OwnApi = {
  scope: 'mandates:pass',
  code: 'mandate_refused',
  hint: 'only who holds a mandate passes it on: to an agent of the same organization, as deep as it allows, and never more than it says',
};

/** Few enough for an answer of 64 KiB. */
const perPage = 20;

/**
 * The mandates that the agent holds.
 * @param send `fetch` of the agent
 * @throws BailiwickError `mandate_refused`, and whatever getting a token throws
 */
export async function heldMandates(deps: Deps, send: AgentFetch): Promise<Mandate[]> {
  const step = 'asking for mandates';
  const found: Mandate[] = [];
  let cursor: unknown;
  do {
    const page = new URLSearchParams({ limit: String(perPage), ...(typeof cursor === 'string' && { cursor }) });
    const { json } = await callOwn(deps, send, mandatesApi, { step, method: 'GET', path: `/mandates?${page}` });
    if (!Array.isArray(json?.items)) throw badAnswer(deps, step);
    found.push(...json.items.map((each) => mandateIn(deps, step, each)));
    cursor = json.next_cursor;
  } while (cursor !== undefined);
  return found;
}

/**
 * Passes a part of a mandate on.
 * @throws BailiwickError `mandate_refused` saying what is more than the mandate has, `bad_option`
 */
export async function passOn<Given extends string, Scope extends Given>(
  deps: Deps,
  send: AgentFetch,
  options: DelegateOptions<Given, Scope>,
): Promise<PassedOn<Scope>> {
  const step = 'passing a mandate on';
  const { mandate, to } = options;
  const body = { ...wireOf(options, deps.resource), parent: idOf(mandate), ...recipient(to) };
  const { json } = await callOwn(deps, send, mandatesApi, { step, method: 'POST', path: '/mandates', body });
  return passedOnIn(deps, send, step, json);
}

/** The mandate of an answer, with what ends it. @throws BailiwickError `bad_answer` */
export function passedOnIn<Scope extends string>(
  deps: Deps,
  send: AgentFetch,
  step: string,
  json: unknown,
): PassedOn<Scope> {
  const mandate = mandateIn(deps, step, json) as Mandate<Scope>;
  let ending: Promise<void> | undefined;
  const end = () => {
    ending ??= endMandate(deps, send, mandate.id);
    return ending;
  };
  return Object.freeze({
    ...mandate,
    end,
    /** Leaving a block is no place for an error: a mandate that can't be ended now ends by itself. */
    [Symbol.asyncDispose]: () =>
      end().catch(({ message }: Error) => {
        const until = new Date(mandate.expiresAt).toISOString();
        process.emitWarning(`${message}; mandate ${mandate.id} ends by itself at ${until}`, {
          code: 'BAILIWICK_NOT_ENDED',
        });
      }),
  });
}

/** Ends one that it holds or passed on, with all that came of it. @throws BailiwickError `mandate_refused`, `bad_option` */
export async function endMandate(
  deps: Deps,
  send: AgentFetch,
  mandate: string | { readonly id: string },
): Promise<void> {
  const path = `/mandates/${idOf(mandate)}`;
  await callOwn(deps, send, mandatesApi, { step: 'ending a mandate', method: 'DELETE', path, also: [404] });
}

/**
 * A part, as the issuer reads it: only what is said of it.
 * @param usual the one API that the agent calls, if it is for one
 * @throws BailiwickError `bad_option`
 */
export function wireOf<Given extends string, Scope extends Given>(
  part: Partial<MandatePart<Given, Scope>>,
  usual: string | undefined,
): Record<string, unknown> {
  const { mandate, ctx, task, limits, passing, lifetimeSeconds } = part;
  const resources = partOf(part, usual);
  return {
    ...(mandate !== undefined && { parent: idOf(mandate) }),
    ...(resources !== undefined && {
      resources: resources.map(({ resource, scope, details }) => ({
        resource,
        ...(scope !== undefined && { scope: (scopeList(scope) ?? []).join(' ') }),
        ...(details !== undefined && { authorization_details: details }),
      })),
    }),
    ...(ctx !== undefined && { context: ctx }),
    ...(task !== undefined && { task }),
    ...(limits !== undefined && { limits }),
    ...(passing !== undefined && { passing }),
    ...(lifetimeSeconds !== undefined && { expires_in: lifetimeSeconds }),
  };
}

/**
 * What is passed on, by API; undefined where it is all.
 * @param usual the one API that the agent calls, if it is for one
 * @throws BailiwickError `bad_option`
 */
export function partOf<Given extends string, Scope extends Given>(
  { mandate, resource, scope, details, resources }: Partial<MandatePart<Given, Scope>>,
  usual: string | undefined,
): MandatePart<Given, Scope>['resources'] {
  if (resources !== undefined) return resources;
  if (resource === undefined && scope === undefined && details === undefined) return undefined;
  const [only, ...others] = typeof mandate === 'object' ? mandate.resources : [];
  const named = resource ?? (others.length === 0 ? only?.resource : undefined) ?? usual;
  if (named !== undefined) return [{ resource: named, ...(scope && { scope }), ...(details && { details }) }];
  throw new BailiwickError('bad_option', 'scope and details are those of an API', { hint: 'name it with resource' });
}

function recipient(to: unknown): { agent: string } | { instance: string } {
  if (isPrintable(to, 100) && to.startsWith('agt_')) return { agent: to };
  if (isPrintable(to, 100) && to.startsWith('ins_')) return { instance: to };
  throw new BailiwickError('bad_option', 'to must be the id of an agent (agt_…) or of an instance (ins_…)');
}

function idOf(mandate: string | { readonly id: string }): string {
  const id = typeof mandate === 'string' ? mandate : mandate?.id;
  if (isMandateId(id)) return id;
  throw new BailiwickError('bad_option', 'the mandate must be its id, mdt_…, or one that was asked for');
}

export function mandateIn(deps: Deps, step: string, value: unknown): Mandate {
  const json: JsonObject = isJsonObject(value) ? value : {};
  const { id, person, agent, instance, parent, resources, context, task, limits, passing, status, ledger } = json;
  const expiresAt = Date.parse(String(json.expires_at));
  if (!isMandateId(id) || !Array.isArray(resources) || Number.isNaN(expiresAt)) throw badAnswer(deps, step);
  return Object.freeze({
    id,
    person: String(person),
    agent: String(agent),
    instance: typeof instance === 'string' ? instance : undefined,
    parent: typeof parent === 'string' ? parent : undefined,
    resources: resourcesIn(resources),
    context: context as TokenContext | undefined,
    task: task as PowerTask | undefined,
    limits: (limits ?? {}) as PowerLimits,
    ledger: (Array.isArray(ledger) ? ledger : []) as unknown as Mandate['ledger'],
    passing: (passing ?? { depth: 0 }) as unknown as Passing,
    status: status as Mandate['status'],
    expiresAt,
  });
}

/** What may be done on each API, as far as it can be read. Operations by name are details of their built-in type. */
export function resourcesIn(resources: readonly unknown[]): MandateResource[] {
  return resources.filter(isJsonObject).map(({ resource, scope, operations, authorization_details }) => ({
    resource: String(resource),
    scope: typeof scope === 'string' ? (scopeList(scope) ?? []) : [],
    details: [
      ...detailsIn(authorization_details),
      ...(Array.isArray(operations) ? [{ type: operationType, actions: operations }] : []),
    ],
  }));
}

export function badAnswer({ issuer }: Deps, step: string): BailiwickError {
  return new BailiwickError('bad_answer', `${step}: ${issuer} answered with something that is no mandate`);
}
