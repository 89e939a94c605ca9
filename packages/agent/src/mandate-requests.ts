/** An agent asks another for a part of a mandate; that one grants it or refuses. No token goes from one to the other. */
import { isJsonObject, isPrintable, type JsonObject } from '@bailiwick/protocol';
import { isPassing } from './attempts.ts';
import { BailiwickError } from './errors.ts';
import type { AgentFetch } from './fetch.ts';
import { orAborted } from './http.ts';
import {
  badAnswer,
  endMandate,
  type Mandate,
  type MandatePart,
  type MandateResource,
  mandateIn,
  mandatesApi,
  type PassedOn,
  passedOnIn,
  resourcesIn,
  wireOf,
} from './mandates.ts';
import type { Deps } from './options.ts';
import { callOwn } from './own-api.ts';

/** What is asked for, and of whom. What isn't said is as the mandate has it, but that it can't be passed on in turn. */
export interface AskOptions<Scope extends string = string> extends Omit<MandatePart<Scope>, 'mandate'> {
  /** The agent that is asked, of the same organization: `agt_…`. */
  from: string;
  /** Of which of its mandates, where that is known. */
  mandate?: string;
  /** In words, for whoever grants it. It stays in the log, sealed. */
  why?: string;
  /** How long to wait for an answer: 10 minutes unless said, an hour at most. */
  waitSeconds?: number;
  /** Takes back what was asked. */
  signal?: AbortSignal;
}

/** Something that another agent asks this one for. */
export interface MandateRequest {
  /** `mrq_…` */
  readonly id: string;
  /** Who asks, and which running copy of it, if it is for that one alone. */
  readonly agent: string;
  readonly instance: string | undefined;
  /** Of which mandate, if that was said. */
  readonly mandate: string | undefined;
  readonly resources: readonly MandateResource[];
  /** The rest of what is wanted. */
  readonly ctx: MandatePart['ctx'];
  readonly task: MandatePart['task'];
  readonly limits: MandatePart['limits'];
  readonly passing: MandatePart['passing'];
  readonly lifetimeSeconds: number | undefined;
  /** Words of another agent, and so of a model: nothing to act on unseen. */
  readonly why: string | undefined;
  /** In ms. */
  readonly answerBy: number;
  /**
   * Passes on what is asked for, or what is named of it.
   * @param less the mandate of which it is granted, unless the request says, and what is to be less
   */
  grant<Given extends string = string, Scope extends Given = Given>(
    less?: Partial<MandatePart<Given, Scope>>,
  ): Promise<PassedOn<Scope>>;
  /** @param reason told to whoever asks */
  refuse(reason?: string): Promise<void>;
}

const path = '/mandates/requests';
const askingStep = 'asking for a mandate';
/** It is looked at every second at first, and then more and more seldom. */
const firstLookMs = 1_000;
const slowestLookMs = 10_000;
/** Few enough for an answer of 64 KiB. */
const perPage = 10;

/**
 * Asks another agent for a part of a mandate, and waits for the answer.
 * @throws BailiwickError `mandate_refused` by the issuer or the agent that is asked, `mandate_unanswered`; what the signal was aborted with
 */
export async function askFor<Scope extends string>(
  deps: Deps,
  send: AgentFetch,
  { from, why, waitSeconds, signal, ...part }: AskOptions<Scope>,
): Promise<Mandate<Scope>> {
  if (!isPrintable(from, 100) || !from.startsWith('agt_')) {
    throw new BailiwickError('bad_option', 'from must be the id of an agent (agt_…)');
  }
  const body = {
    from,
    ...wireOf(part, deps.resource),
    ...(why !== undefined && { why }),
    ...(waitSeconds !== undefined && { answer_within: waitSeconds }),
  };
  if (!('resources' in body)) throw new BailiwickError('bad_option', 'a part is asked for: name scope or details');
  signal?.throwIfAborted();
  const { json } = await callOwn(deps, send, mandatesApi, { step: askingStep, method: 'POST', path, body });
  const id = requestIdIn(deps, askingStep, json);
  try {
    const granted = await answerTo(deps, send, { id, from, signal });
    const one = await callOwn(deps, send, mandatesApi, {
      step: askingStep,
      method: 'GET',
      path: `/mandates/${granted}`,
    });
    return mandateIn(deps, askingStep, one.json) as Mandate<Scope>;
  } catch (error) {
    await takeBack(deps, send, id).catch(() => {}); // it is over by itself soon
    throw error;
  }
}

/** The id of the mandate that was granted. */
async function answerTo(
  deps: Deps,
  send: AgentFetch,
  { id, from, signal }: { id: string; from: string; signal: AbortSignal | undefined },
): Promise<string> {
  for (let wait = firstLookMs; ; wait = Math.min(wait * 1.1, slowestLookMs)) {
    await orAborted(deps.sleep(wait * (0.75 + 0.5 * deps.random())), signal);
    const seen = await orAborted(look(deps, send, id), signal);
    if (seen === undefined || seen.status === 'pending') continue;
    if (seen.status === 'granted') return String(seen.mandate);
    if (seen.status === 'refused') {
      const words = isPrintable(seen.reason, 500) ? `: ${seen.reason}` : '';
      throw new BailiwickError('mandate_refused', `${askingStep}: ${from} refused it${words}`);
    }
    throw new BailiwickError('mandate_unanswered', `${askingStep}: ${from} did not answer, the request is over`, {
      hint: 'is it running, and does it look at its requests? One that is suspended can not answer',
    });
  }
}

/** A server that can't answer now may in a moment; its word that there is no such request is final. */
async function look(deps: Deps, send: AgentFetch, id: string): Promise<JsonObject | undefined> {
  try {
    const at = { step: askingStep, method: 'GET' as const, path: `${path}/${id}`, also: [404] };
    const { status, json } = await callOwn(deps, send, mandatesApi, at);
    return status === 404 ? { status: 'expired' } : (json ?? {});
  } catch (error) {
    const status = error instanceof BailiwickError ? error.status : undefined;
    if (isPassing(error) || status === 429 || (status !== undefined && status >= 500)) return undefined;
    throw error;
  }
}

/** Withdraws a request; where it has been granted meanwhile, what came of it is given up. */
async function takeBack(deps: Deps, send: AgentFetch, id: string): Promise<void> {
  const step = 'taking a request back';
  const at = { step, path: `${path}/${id}` };
  const { status } = await callOwn(deps, send, mandatesApi, { ...at, method: 'DELETE', also: [404, 409] });
  if (status !== 409) return;
  const { json } = await callOwn(deps, send, mandatesApi, { ...at, method: 'GET' });
  if (json?.status === 'granted') await endMandate(deps, send, String(json.mandate));
}

/**
 * What others ask this agent for, and waits for an answer.
 * @throws BailiwickError `mandate_refused`, and whatever getting a token throws
 */
export async function requestsTo(deps: Deps, send: AgentFetch): Promise<MandateRequest[]> {
  const step = 'looking for requests';
  const found: MandateRequest[] = [];
  let cursor: unknown;
  do {
    const page = new URLSearchParams({ limit: String(perPage), ...(typeof cursor === 'string' && { cursor }) });
    const { json } = await callOwn(deps, send, mandatesApi, { step, method: 'GET', path: `${path}?${page}` });
    if (!Array.isArray(json?.items)) throw badAnswer(deps, step);
    found.push(...json.items.map((each) => requestIn(deps, send, each)));
    cursor = json.next_cursor;
  } while (cursor !== undefined);
  return found;
}

function requestIn(deps: Deps, send: AgentFetch, value: unknown): MandateRequest {
  const json: JsonObject = isJsonObject(value) ? value : {};
  const id = requestIdIn(deps, 'looking for requests', json);
  const { agent, instance, parent, resources, context, task, limits, passing, expires_in, why } = json;
  const named = resourcesIn(Array.isArray(resources) ? resources : []);
  const [only, ...others] = named;
  return Object.freeze({
    id,
    agent: String(agent),
    instance: typeof instance === 'string' ? instance : undefined,
    mandate: typeof parent === 'string' ? parent : undefined,
    resources: named,
    ctx: context as MandateRequest['ctx'],
    task: task as MandateRequest['task'],
    limits: limits as MandateRequest['limits'],
    passing: passing as unknown as MandateRequest['passing'],
    lifetimeSeconds: typeof expires_in === 'number' ? expires_in : undefined,
    why: typeof why === 'string' ? why : undefined,
    answerBy: Date.parse(String(json.answer_by)),
    async grant<Given extends string, Scope extends Given>(less: Partial<MandatePart<Given, Scope>> = {}) {
      const step = 'granting a request';
      const body = wireOf(less, others.length === 0 ? only?.resource : deps.resource);
      const at = { step, method: 'POST', path: `${path}/${id}/grant`, body } as const;
      const { json } = await callOwn(deps, send, mandatesApi, at);
      return passedOnIn<Scope>(deps, send, step, json);
    },
    async refuse(reason?: string) {
      const body = reason === undefined ? {} : { reason };
      const at = { step: 'refusing a request', method: 'POST', path: `${path}/${id}/refuse`, body } as const;
      await callOwn(deps, send, mandatesApi, at);
    },
  });
}

function requestIdIn(deps: Deps, step: string, json: JsonObject | undefined): string {
  const { id } = json ?? {};
  if (isPrintable(id, 64) && /^mrq_[0-9a-z]{26}$/.test(id)) return id;
  throw badAnswer(deps, step);
}
