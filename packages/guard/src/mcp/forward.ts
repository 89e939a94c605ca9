import { systemRuntime } from '../runtime.ts';
import type { McpHandler } from './node-bridge.ts';

/**
 * A handler that hands on to an MCP server elsewhere, in any language: one that listens where only this process reaches it. Who is calling stands in
 * the headers `bailiwick-agent`, `bailiwick-subject`, `bailiwick-organization` and `bailiwick-operation` and, where it acts for somebody, in `bailiwick-person` and
 * `bailiwick-chain` (all that act, the one calling first, with blanks between); the token doesn't.
 * @param url the server's endpoint. Where it has a query, that is the query of every request, whatever the client's was
 */
export function forwardTo(url: string | URL, options: { fetch?: typeof globalThis.fetch } = {}): McpHandler {
  const target = new URL(url);
  const send = options.fetch ?? systemRuntime.fetch;
  return async (request, caller) => {
    const headers = new Headers(request.headers);
    for (const name of [...headers.keys()]) if (name === 'host' || name.startsWith('bailiwick-')) headers.delete(name);
    const about = {
      agent: [caller.agent],
      subject: [caller.subject],
      person: caller.person === undefined ? [] : [caller.person],
      chain: caller.chain.map(({ subject }) => subject),
      organization: [caller.organization],
      operation: [caller.operation],
    };
    for (const [name, values] of Object.entries(about)) {
      if (values.length > 0) headers.set(`bailiwick-${name}`, values.map(encodeURI).join(' '));
    }
    headers.set('accept-encoding', 'identity');
    const { search } = new URL(target.search === '' ? request.url : target);
    const body = request.method === 'POST' ? await request.text() : undefined;
    const answer = await send(new URL(search, target), {
      method: request.method,
      headers,
      signal: request.signal,
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
    });
    const kept = new Headers(answer.headers);
    // fetch has decoded what was encoded, and `Connection` and the like were for this hop.
    for (const name of [
      'content-encoding',
      'content-length',
      'transfer-encoding',
      'connection',
      'keep-alive',
      'location',
    ])
      kept.delete(name);
    const isRedirect = answer.status >= 300 && answer.status < 400;
    return new Response(isRedirect ? null : answer.body, { status: isRedirect ? 502 : answer.status, headers: kept });
  };
}
