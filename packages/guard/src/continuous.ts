/**
 * Before operations that can do harm the guard asks whether they are allowed here and now: policies, roles, tasks and
 * instances can have changed since the token was issued. Nothing is remembered: each request is a question of its own.
 * @see AuthZEN 1.0 §7
 */
import { createAgent } from '@bailiwick/agent';
import {
  type Operation,
  type OperationDetail,
  type OperationParameters,
  operationType,
  parametersIn,
  type Requirement,
  type Sensitivity,
  type Signer,
  sensitivities,
} from '@bailiwick/protocol';
import type { Asked, ContinuousCheck } from './allow.ts';
import { type Ask, type Batching, batcher } from './continuous-batch.ts';
import { fetchJson, Unavailable } from './json-client.ts';
import { Refusal } from './refusal.ts';
import { traceOf } from './reports/access.ts';
import type { Runtime } from './runtime.ts';
import type { Verified } from './verify.ts';

export interface ContinuousSettings extends Batching {
  /** The least sensitive operations that are asked about. */
  from: Sensitivity;
}

export interface Continuous {
  check: ContinuousCheck;
  /** Gets the guard's own token ahead of the first question, and keeps it fresh. If it can't be had, whoever needs it hears of that. */
  warm(): Promise<void>;
}

const hints = {
  401: 'is the credential of this guard still registered, and is the clock right?',
  403: 'is the credential that of a guard of this resource?',
  404: 'is the identity provider older than this guard?',
};

/** Asks `<issuer>/access/v1/evaluations` with the guard's own identity. */
export function continuousCheck(options: {
  runtime: Runtime;
  issuer: string;
  resource: string;
  credential: { clientId: string; signer: Signer };
  settings: ContinuousSettings;
}): Continuous {
  const { runtime, issuer, resource, credential, settings } = options;
  const agent = createAgent({
    issuer,
    resource: issuer,
    scope: 'access:evaluate',
    clientId: credential.clientId,
    key: credential.signer,
    fetch: runtime.fetch,
    now: runtime.now,
    traceparent: false, // each question says for itself what it is part of
  });
  const url = `${issuer.replace(/\/$/, '')}/access/v1/evaluations`;
  const network = { fetch: (input: unknown, init?: RequestInit) => agent.fetch(input as string, init) };
  const ask = batcher(runtime, settings, async (evaluations) => {
    const headers = { 'content-type': 'application/json' };
    const body = `{"evaluations":[${evaluations.join(',')}]}`;
    const answer = await fetchJson(
      network as Pick<Runtime, 'fetch'>,
      url,
      { method: 'POST', headers, body },
      { hints },
    );
    return Array.isArray(answer.evaluations) ? answer.evaluations : [answer];
  });
  const least = sensitivities.indexOf(settings.from);
  return {
    check: (verified, asked) =>
      sensitivities.indexOf(asked.operation.sensitivity) < least ? undefined : checkNow(ask, resource, verified, asked),
    warm: () =>
      agent.token().then(
        () => {},
        () => {},
      ),
  };
}

async function checkNow(ask: Ask, resource: string, verified: Verified, asked: Asked): Promise<void> {
  const { decision, context } = read(await ask(JSON.stringify(questionOf(resource, verified, asked))));
  if (decision) return;
  throw refusalOf(asked.operation, context);
}

/** What the identity provider is asked: it verifies the token itself, and takes from it who, which instance and which task. */
function questionOf(resource: string, { request, token, address }: Verified, { operation, parameters }: Asked): object {
  const type = operation.tool === undefined ? 'operation' : 'tool';
  const details = token.caller.details;
  const properties = sent(operation, details, parameters());
  mustBePlain(properties);
  const trace = traceOf(request);
  return {
    subject: { type: 'agent', id: token.claims.client_id },
    action: { name: 'access', ...(Object.keys(properties).length > 0 && { properties }) },
    resource: { type, id: `${resource}#${operation.name}` },
    context: {
      access_token: request.headers.authorization?.[0]?.trim().split(/\s+/).at(-1),
      ...(address !== undefined && { presenter_address: address }),
      ...(trace !== undefined && { traceparent: trace }),
    },
  };
}

/** Parameters of a path. Of a tool's arguments, which can be anything, those alone on which details depend. */
function sent(
  { tool, details }: Operation,
  granted: readonly Readonly<Record<string, unknown>>[],
  parameters: OperationParameters,
): OperationParameters {
  if (tool === undefined) return parameters;
  const needed = new Set([
    ...parametersIn(details),
    ...granted.filter(({ type }) => type === operationType).flatMap((each) => named(each as OperationDetail)),
  ]);
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => needed.has(name)));
}

const mostLevels = 8;

/**
 * What the identity provider would refuse to read is refused here, before it travels with others' questions.
 * @throws Refusal for NUL, broken UTF-16, `__proto__` and what is nested deeply
 */
function mustBePlain(properties: OperationParameters): void {
  const open: [value: unknown, depth: number][] = [[properties, 0]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [value, depth] = next;
    if (typeof value === 'string' ? !isPlain(value) : depth > mostLevels) throw unreadable();
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, member] of Object.entries(value)) {
      if (name === '__proto__' || !isPlain(name)) throw unreadable();
      open.push([member, depth + 1]);
    }
  }
}

const isPlain = (text: string) => !text.includes('\0') && text.isWellFormed();

function unreadable(): Refusal {
  const detail =
    'A parameter of this operation holds U+0000, broken Unicode or a member "__proto__", or is nested too deeply.';
  return new Refusal('invalid_request', detail, { reason: 'a parameter that can not be asked about' });
}

const named = ({ parameters }: OperationDetail): string[] =>
  typeof parameters === 'object' && parameters !== null ? Object.keys(parameters) : [];

interface Answered {
  decision: boolean;
  context: {
    reason_user?: Record<string, unknown>;
    requirements?: unknown;
    error?: { status?: unknown; message?: unknown };
  };
}

/** @throws Unavailable for what is no decision */
function read(answer: unknown): Answered {
  const { decision, context = {} } = (answer ?? {}) as Partial<Answered>;
  if (typeof decision !== 'boolean' || typeof context !== 'object' || context === null) {
    throw new Unavailable('the identity provider answered without a decision');
  }
  return { decision, context };
}

/** What a no means for the caller: its token has ended, policy says no, or policy says not yet. */
function refusalOf(operation: Operation, { error, reason_user, requirements }: Answered['context']): Error {
  if (error?.status === 401) {
    const detail = 'The access token no longer stands: it was revoked, or what it rests on was.';
    return new Refusal('invalid_token', detail, { reason: 'no longer active, says the decision point' });
  }
  // that is not about the caller: this guard asks what it mustn't, or what isn't understood
  if (error !== undefined) return new Unavailable(`the decision point refused the question: ${String(error.message)}`);
  const told = reason_user?.['403'];
  const detail = typeof told === 'string' ? told : `A policy does not allow "${operation.name}" here and now.`;
  const wanted = requirementsIn(requirements);
  if (wanted.length === 0) return new Refusal('access_denied', detail, { reason: 'denied by the decision point' });
  return notYet(operation, detail, wanted);
}

/**
 * A newer proof and a human's yes are asked for by the means for people's authentication: a client gets another token and comes back. For
 * all else the token has to be another.
 * @see RFC 9470 §3, RFC 6750 §3.1
 */
function notYet({ scope }: Operation, detail: string, requirements: readonly Requirement[]): Refusal {
  const reason = `not yet: ${requirements.map(({ type }) => type).join(', ')}`;
  if (!requirements.every(({ type }) => type === 'approval' || type === 'fresh_proof')) {
    return new Refusal('insufficient_scope', detail, { reason, scope, requirements });
  }
  const ages = requirements.flatMap((each) => (each.type === 'fresh_proof' ? [each.max_age] : []));
  const maxAge = ages.length > 0 ? { maxAgeSeconds: Math.min(...ages) } : {};
  return new Refusal('insufficient_user_authentication', detail, { reason, requirements, ...maxAge });
}

function requirementsIn(value: unknown): Requirement[] {
  if (!Array.isArray(value)) return [];
  return value.filter((each): each is Requirement => typeof each?.type === 'string');
}
