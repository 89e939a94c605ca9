/**
 * How proxies tell a forward-auth service what their client asked for. Exactly one dialect is read: in the headers of another one, a client could
 * write what it likes.
 */
import type { IncomingMessage } from 'node:http';
import { transactionHeader } from '@bailiwick/protocol';
import { type GuardRequest, headersOf } from '../request.ts';

/** Where proxies ask. Envoy appends the path that its client asked for. */
export const checkPath = '/check';

/** What is peculiar to one proxy. */
export interface Dialect {
  /** The headers that name the original method and URI; undefined where the request itself is the original. */
  headers?: { method: string; uri: string };
  /** Whether it can pass a client's certificate on as RFC 9440 has it, in place of what clients send under that name. */
  certificates: boolean;
  /** Answers other than 2xx, 401 and 403 are an error to it, and their headers and body lost. */
  threeStatuses?: true;
  /** An answer of 5xx is what it takes for a broken service, and may be configured to let through. */
  never5xx?: true;
}

/** @see https://nginx.org/en/docs/http/ngx_http_auth_request_module.html, read for nginx 1.22 and tested with it */
const nginx: Dialect = {
  headers: { method: 'x-original-method', uri: 'x-original-uri' },
  certificates: true,
  threeStatuses: true,
};

/** @see https://github.com/traefik/traefik/blob/master/pkg/middlewares/auth/forward.go, `writeHeader` and `oldWriteHeader` */
const traefik: Dialect = {
  headers: { method: 'x-forwarded-method', uri: 'x-forwarded-uri' },
  certificates: false,
};

/** @see https://github.com/caddyserver/caddy/blob/master/modules/caddyhttp/reverseproxy/forwardauth/caddyfile.go */
const caddy: Dialect = {
  headers: { method: 'x-forwarded-method', uri: 'x-forwarded-uri' },
  certificates: true,
};

/**
 * The request is the original, with a path prefix; only 200 lets through.
 * @see https://github.com/envoyproxy/envoy/blob/main/source/extensions/filters/common/ext_authz/ext_authz_http_impl.cc
 */
const envoy: Dialect = { certificates: false, never5xx: true };

export type DialectName = 'nginx' | 'traefik' | 'caddy' | 'envoy';
export const dialects: Readonly<Record<DialectName, Dialect>> = { nginx, traefik, caddy, envoy };

/** The proxy's configuration is wrong: it doesn't say what it must. The message is for the operator. */
export class ProxyError extends Error {
  override name = 'ProxyError';
}

/**
 * What the client asked of the proxy, as the guard sees it. Of all headers only those of this dialect are read, and of the client's
 * those that carry its token.
 * @param options.certificates whether `Client-Cert` is the proxy's word
 * @throws ProxyError
 */
export function originalRequest(
  name: DialectName,
  request: IncomingMessage,
  { certificates }: { certificates: boolean },
): GuardRequest {
  const told = valuesOf(request.rawHeaders);
  const { headers } = dialects[name];
  const [method, url] =
    headers === undefined
      ? [request.method ?? '', (request.url ?? '').slice(checkPath.length)]
      : [single(told, headers.method), single(told, headers.uri)];
  const forwarded = told.get('x-forwarded-for');
  // Without it everybody would come from the proxy's own address.
  if (forwarded === undefined || forwarded.join('').trim() === '') {
    throw new ProxyError('does not say in X-Forwarded-For where its client is');
  }
  const {
    authorization,
    dpop,
    'client-cert': certificate,
    traceparent,
    [transactionHeader]: transaction,
  } = headersOf(request.rawHeaders);
  return {
    method,
    url,
    headers: {
      'x-forwarded-for': forwarded,
      ...(authorization === undefined ? {} : { authorization }),
      ...(dpop === undefined ? {} : { dpop }),
      ...(traceparent === undefined ? {} : { traceparent }),
      ...(transaction === undefined ? {} : { [transactionHeader]: transaction }),
      ...(certificate === undefined || !certificates ? {} : { 'client-cert': certificate }),
    },
    remoteAddress: request.socket.remoteAddress,
  };
}

function single(told: Map<string, string[]>, header: string): string {
  const values = told.get(header) ?? [];
  if (values.length === 1 && values[0] !== '') return values[0] as string;
  throw new ProxyError(
    `says ${values.length > 1 ? 'more than once' : 'nothing'} in ${header} what its client asked for`,
  );
}

function valuesOf(rawHeaders: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const value = rawHeaders[i + 1]!;
    const values = found.get(name);
    if (values === undefined) found.set(name, [value]);
    else values.push(value);
  }
  return found;
}
