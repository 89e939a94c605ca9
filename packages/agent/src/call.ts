import { type Asked, askedHere, type TokenWishes } from './asked.ts';
import { BailiwickError } from './errors.ts';
import { safeUrl } from './urls.ts';

/** What `agent.fetch` takes beyond what fetch takes. */
export interface AgentRequestInit extends RequestInit, TokenWishes {
  /** The API that this URL belongs to, when it should not be asked. */
  resource?: string;
  /**
   * The SPIFFE ID that the server must prove, by a certificate of our trust domain, whatever its host is called. Left out,
   * its certificate must name its host.
   */
  peer?: string;
}

/** One call as it was asked for, ready to be sent more than once. */
export interface Call {
  url: URL;
  method: string;
  headers: Headers;
  body: NonNullable<RequestInit['body']> | null;
  /** Can the body be sent again? A stream can't. */
  canRepeat: boolean;
  signal: AbortSignal | null;
  redirect: NonNullable<RequestInit['redirect']>;
  /** What was said of its token: the rest is the agent's. */
  asked: Asked;
  resource: string | undefined;
  peer: string | undefined;
  /** Whatever else fetch understands, such as a dispatcher. */
  rest: RequestInit;
}

/**
 * Reads what fetch was called with.
 * @throws BailiwickError `bad_url`, `insecure_url`, `bad_option`; TypeError as fetch does
 */
export function readCall(input: string | URL | Request, init: AgentRequestInit = {}): Call {
  const { scope, details, ctx, declared, mayAct, narrower, stepUp, resource, peer, ...sent } = init;
  const { method, headers, body, signal, redirect, ...rest } = sent;
  const request = input instanceof Request ? input : undefined;
  const url = safeUrl(request?.url ?? (input as string | URL), 'the URL');
  const given = body === undefined ? (request?.body ?? null) : body;
  const canRepeat = !isStream(given);
  const own = new Headers(headers ?? request?.headers);
  // Lets fetch itself complain about a wrong method or body, while there is no secret in the request.
  const checked = new Request(url, { method: method ?? request?.method ?? 'GET', body: canRepeat ? given : null });
  for (const name of ['authorization', 'dpop']) {
    if (own.has(name)) {
      throw new BailiwickError('bad_option', `the ${name} header is the agent's to set`, { hint: 'leave it out' });
    }
  }
  return {
    url,
    method: checked.method,
    headers: own,
    body: given,
    canRepeat,
    signal: signal === undefined ? (request?.signal ?? null) : signal,
    redirect: redirect ?? request?.redirect ?? 'follow',
    asked: askedHere({ scope, details, ctx, declared, mayAct, narrower, stepUp }),
    resource,
    peer,
    rest,
  };
}

/** Is this a body that can be sent once only? */
export function isStream(body: unknown): boolean {
  return typeof body === 'object' && body !== null && (body instanceof ReadableStream || Symbol.asyncIterator in body);
}
