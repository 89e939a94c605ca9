/** What the server's own APIs have in common over HTTP: JSON and nothing else, who is calling, and problems as answers. */
import { isUtf8 } from 'node:buffer';
import { protectedResourceMetadataUrl, type ReplayMemory, replayMemory } from '@bailiwick/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { findAgent } from '../agents/store.ts';
import type { Deps } from '../deps.ts';
import { futureSeconds } from '../lib/clock.ts';
import { countFailure } from '../lib/failures.ts';
import { newId } from '../lib/ids.ts';
import { parseJsonBody } from './body.ts';
import { type Caller, callerOf, type OwnApi } from './caller.ts';
import { addressOf } from './client-address.ts';
import { Problem, problemReply } from './problem.ts';
import { standstillRetrySeconds, standstillSaid } from './standstill.ts';

const proofsRemembered = 200_000;

export interface OwnApiOptions extends OwnApi {
  /** What the log calls it. */
  name: string;
  memory: ReplayMemory;
  /** Content types of bodies; all of them are JSON. */
  types?: readonly string[];
  /** The largest body, where it is not the configured one. */
  bodyBytes?: number | undefined;
}

/** What a plug-in gets that answers for one of our own APIs. */
export interface OwnApiPlugin {
  /**
   * For `onRequest`: before the body is read, and whatever the path. Strangers don't get to send us one, and are told by
   * every URL of this API where tokens for it come from.
   * @throws Problem 401
   */
  identify(request: FastifyRequest): Promise<void>;
  /** Who was identified. @throws Error for a request that went past `identify` */
  callerOf(request: FastifyRequest): Caller;
}

/** A memory of the proofs that callers of one API have shown: each is taken once. */
export function proofMemory({ config }: Deps): ReplayMemory {
  return replayMemory({
    windowMs: (config.dpop.proof_max_age_seconds + futureSeconds + 1) * 1000,
    futureMs: futureSeconds * 1000,
    perGeneration: proofsRemembered,
    perKey: proofsRemembered / 4, // one busy caller doesn't shut out the others
  });
}

/** Prepares a plug-in: its bodies are JSON, its errors are problems, and `identify` says who is calling. */
export function ownApi(deps: Deps, app: FastifyInstance, options: OwnApiOptions): OwnApiPlugin {
  const { api, resource, memory, name, types = ['application/json'] } = options;
  const { bodyBytes = deps.config.limits.body_bytes } = options;
  const { origin } = new URL(deps.config.issuer);
  const callers = new WeakMap<FastifyRequest, Caller>();
  readJsonAlone(app, types, bodyBytes);
  app.setErrorHandler((error, request, reply) => {
    const problem = asProblem(deps, { name, types, bodyBytes }, error);
    // who proves nothing is counted and not written down, or anyone could make us write; who sends nothing is only asking
    // where tokens come from, as every client does at first
    if (problem.kind === 'invalid-token' && request.headers.authorization !== undefined) {
      countFailure(deps.failures, addressOf(deps, request), `${name}: ${problem.message}`);
    }
    return problemReply(reply, problem);
  });
  return {
    async identify(request) {
      const { method, headers } = request;
      const { authorization, dpop, traceparent } = headers;
      const from = { address: addressOf(deps, request), traceparent };
      const call = { method, url: origin + request.url, authorization, dpop, ...from };
      callers.set(request, await callerOf(deps, memory, { api, resource }, call));
    },
    callerOf(request) {
      const caller = callers.get(request);
      if (!caller) throw new Error('a request was handled without a caller');
      return caller;
    },
  };
}

/** Public documents: anybody may read them, from anywhere. Made when first asked for: a start needn't wait for them. */
export function publish(app: FastifyInstance, url: string, document: () => object): void {
  let body: string | undefined;
  app.get(url, (_, reply) => {
    body ??= JSON.stringify(document());
    return reply
      .headers({ 'cache-control': 'public, max-age=300', 'access-control-allow-origin': '*' })
      .header('content-type', 'application/json')
      .send(body);
  });
}

/** Where the metadata of a resource of ours is published. @see RFC 9728 §3.1 */
export const metadataPath = (resource: string): string => new URL(protectedResourceMetadataUrl(resource)).pathname;

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** Says to a known caller which methods `url` takes: 405 for the others. @param offered as they were routed */
export function refuseOtherMethods(
  app: FastifyInstance,
  url: string,
  offered: readonly string[],
  identify: OwnApiPlugin['identify'],
): void {
  const refused = methods.filter((method) => !offered.includes(method));
  if (refused.length === 0) return;
  const allow = [...(offered.includes('GET') ? ['HEAD'] : []), ...offered].join(', ');
  app.route({
    method: [...refused],
    url,
    onRequest: identify,
    handler: (_, reply) =>
      problemReply(reply, new Problem('method-not-allowed', `this takes ${allow}`, { headers: { allow } })),
  });
}

/** Sends what an API answers; nobody may keep it. */
export function sendAnswer(
  reply: FastifyReply,
  given: { status: number; headers: Readonly<Record<string, string>>; body: string | undefined },
): FastifyReply {
  reply.code(given.status).headers({ 'cache-control': 'no-store', ...given.headers });
  return given.body === undefined ? reply.send() : reply.header('content-type', 'application/json').send(given.body);
}

/** Under whose key an event about the caller is sealed: who answers for it. */
export async function ownerOf(deps: Deps, caller: Caller): Promise<string> {
  const agent = await findAgent(deps.db, caller.agent);
  if (!agent) throw new Error(`a token of ours names the agent ${caller.agent}, which was never registered`);
  return agent.owner;
}

function readJsonAlone(app: FastifyInstance, types: readonly string[], bodyLimit: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser([...types], { parseAs: 'buffer', bodyLimit }, async (_: FastifyRequest, body: Buffer) => {
    if (body.length === 0) return undefined;
    if (!isUtf8(body)) throw new Problem('bad-request', 'the body must be UTF-8');
    return parseJsonBody(body.toString('utf8'));
  });
}

/** What Fastify refuses by itself, and what nobody foresaw: a 500 with an id, under which the log has the rest. */
function asProblem(
  deps: Deps,
  { name, types, bodyBytes }: { name: string; types: readonly string[]; bodyBytes: number },
  error: unknown,
): Problem {
  if (error instanceof Problem) return error;
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    const setting = bodyBytes === deps.config.limits.body_bytes ? ' (limits.body_bytes)' : '';
    return new Problem('too-large', `the body must be at most ${bodyBytes} bytes${setting}`);
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    const others = types.slice(1).map((type) => `, or ${type} to PATCH`);
    return new Problem('unsupported-media-type', `send ${types[0]}${others.join('')}`, {
      headers: { accept: types.join(', ') },
    });
  }
  if (statusCode !== undefined && statusCode < 500) return new Problem('bad-request', 'the request is not understood');
  const said = standstillSaid(deps, error);
  if (said !== undefined) {
    return new Problem('unavailable', said, { headers: { 'retry-after': String(standstillRetrySeconds) } });
  }
  const id = newId(deps, 'problem');
  deps.log.error({ id, err: error }, `a request to the ${name} failed`);
  return new Problem('internal', `something went wrong here: ${id}`);
}
