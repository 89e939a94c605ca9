/** Requests over mutual TLS, without the pooling and the niceties of `fetch`. */
import { type RequestOptions, request } from 'node:https';

export interface TlsReply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of an answer by looking at it
  json: any;
}

export interface TlsRequestOptions {
  method?: string;
  /** Shown in the handshake: its whole chain, as PEM. */
  certificate?: { chain: string; key: string } | undefined;
  headers?: Record<string, string | string[]>;
  /** Sent as a form, by POST. */
  form?: Record<string, string> | string;
  /** What `node:tls` takes. The server's certificate is not looked at unless `ca` is among it: tests have a time of their own. */
  tls?: RequestOptions;
}

/** One request over a connection of its own. */
export function tlsRequest(url: string, options: TlsRequestOptions = {}): Promise<TlsReply> {
  const { certificate, form, tls = {} } = options;
  const body = form === undefined ? undefined : typeof form === 'string' ? form : new URLSearchParams(form).toString();
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method: options.method ?? (body === undefined ? 'GET' : 'POST'),
        agent: false,
        rejectUnauthorized: tls.ca !== undefined,
        ...(certificate && { cert: certificate.chain, key: certificate.key }),
        ...tls,
        headers: {
          ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
          ...options.headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode as number, headers: response.headers, text, json: parsed(text) });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
