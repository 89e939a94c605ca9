import { createAgent } from '@bailiwick/agent';
import { oldestReportMs, type ReportResult, type Signer } from '@bailiwick/protocol';
import { fetchJson, Unavailable } from '../json-client.ts';
import type { Runtime } from '../runtime.ts';
import type { Line } from './line.ts';
import type { Losses } from './losses.ts';

/**
 * Hands a batch to the server. Resolves when it need not be sent again: what the server refuses for good is lost, and said.
 * @throws Unavailable when it has to be sent again later
 */
export type Send = (lines: readonly Line[]) => Promise<void>;

const hints = {
  401: 'is the credential of this guard still registered, and is the clock right?',
  403: 'is the credential that of a guard of this resource?',
  404: 'is the identity provider older than this guard?',
};

/** Bad JSON, too large, not understood: sending it again changes nothing. */
const isAboutTheBody = (error: unknown) =>
  error instanceof Unavailable && [400, 413, 422].includes(error.status as number);

/** Sends to `<issuer>/events` with the guard's own identity. */
export function sender(options: {
  runtime: Pick<Runtime, 'fetch' | 'now' | 'report'>;
  issuer: string;
  credential: { clientId: string; signer: Signer };
  losses: Losses;
}): Send {
  const { runtime, issuer, credential, losses } = options;
  const agent = createAgent({
    issuer,
    resource: issuer,
    scope: 'events:report',
    clientId: credential.clientId,
    key: credential.signer,
    fetch: runtime.fetch,
    now: runtime.now,
    timeoutMs: 5000,
    traceparent: false,
    stepUp: false,
  });
  const url = `${issuer.replace(/\/$/, '')}/events`;
  const network = { fetch: (input: unknown, init?: RequestInit) => agent.fetch(input as string, init) };

  async function send(lines: readonly Line[]): Promise<void> {
    let results: readonly ReportResult[];
    try {
      const body = `{"reports":[${lines.map(({ text }) => text).join(',')}]}`;
      const headers = { 'content-type': 'application/json' };
      const init = { method: 'POST', headers, body };
      const answer = await fetchJson(network as Pick<Runtime, 'fetch'>, url, init, { timeoutMs: 5000, hints });
      results = Array.isArray(answer.results) ? (answer.results as ReportResult[]) : [];
      if (results.length !== lines.length) throw new Unavailable(`${url} did not answer about every report`);
    } catch (error) {
      if (!isAboutTheBody(error)) throw error;
      return await inHalves(lines);
    }
    // our clock is ahead of the server's: it takes them once that has come so far, and knows what it has taken of them by then
    if (results.some(({ outcome, reason }) => outcome === 'refused' && reason === 'in_the_future')) {
      throw new Unavailable('the clock here is ahead of that of the identity provider');
    }
    const reasons = new Set<string>();
    for (const [index, line] of lines.entries()) {
      const { outcome, reason } = results[index] ?? {};
      if (outcome !== 'refused') continue;
      losses.note('refused', line);
      reasons.add(String(reason));
    }
    if (reasons.size > 0) runtime.report(`The identity provider refuses reports of uses: ${[...reasons].join(', ')}.`);
  }

  /** One report that can't be read must not take the others with it. */
  async function inHalves(lines: readonly Line[]): Promise<void> {
    if (lines.length === 1) {
      losses.note('refused', lines[0]);
      return;
    }
    const half = lines.length >> 1;
    await send(lines.slice(0, half));
    await send(lines.slice(half));
  }

  return async (lines) => {
    const oldest = runtime.now() - oldestReportMs + 60_000;
    const young = lines.filter(({ at }) => at >= oldest);
    for (const line of lines) if (line.at < oldest) losses.note('expired', line);
    if (young.length > 0) await send(young);
  };
}
