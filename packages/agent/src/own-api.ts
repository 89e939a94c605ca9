import type { JsonObject } from '@bailiwick/protocol';
import { wordsOf } from './attempts.ts';
import { BailiwickError } from './errors.ts';
import type { AgentFetch } from './fetch.ts';
import { readObject } from './http.ts';
import type { Deps } from './options.ts';

/** One of the issuer's own APIs for agents, as whoever calls it needs to know it. */
export interface OwnApi {
  /** What its tokens are asked for. */
  scope: string;
  /** What a refusal is called, and what to do about it. */
  code: string;
  hint: string;
}

export interface OwnRequest {
  /** What is being done, for errors. */
  step: string;
  method: 'GET' | 'POST' | 'DELETE';
  /** Behind the issuer: `/tasks`. */
  path: string;
  body?: object;
  /** Answers beyond 2xx that are as good as one. */
  also?: readonly number[];
}

/** What an answer says, and whether it says that something was made. */
export interface OwnAnswer {
  status: number;
  /** The body if it was a JSON object. */
  json: JsonObject | undefined;
}

/**
 * Calls one of the issuer's own APIs.
 * @param send `fetch` of the agent
 * @throws BailiwickError with the API's code, and whatever getting a token throws
 */
export async function callOwn(
  deps: Deps,
  send: AgentFetch,
  { scope, code, hint }: OwnApi,
  request: OwnRequest,
): Promise<OwnAnswer> {
  const { step, method, path, body, also = [] } = request;
  // should the answer be lost on its way, the same request has the same answer
  const headers = { 'content-type': 'application/json', 'idempotency-key': deps.uuid() };
  const response = await send(deps.issuer + path, {
    method,
    ...(body !== undefined && { headers, body: JSON.stringify(body) }),
    resource: deps.issuer,
    scope,
  });
  const { status } = response;
  const json = await readObject(response, deps.timeoutMs).catch(() => undefined);
  if (response.ok || also.includes(status)) return { status, json };
  const words = wordsOf({ status, headers: response.headers, json: { error_description: json?.detail } });
  throw new BailiwickError(code, `${step}: ${deps.issuer} answered ${status}${words}`, { status, hint });
}
