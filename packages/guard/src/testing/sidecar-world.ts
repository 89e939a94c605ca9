/** A sidecar in this process, and proxies that ask it as the real ones do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type DialectName, dialects } from '../sidecar/dialect.ts';
import { run } from '../sidecar/run.ts';
import type { Sidecar } from '../sidecar/server.ts';
import {
  type Changes,
  type FakeAgent,
  type FakeIssuer,
  fakeAgent,
  fakeIssuer,
  issuer,
  quiet,
  resource,
} from './fake-issuer.ts';

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface SidecarWorld {
  fake: FakeIssuer;
  agent: FakeAgent;
  sidecar: Sidecar;
  /** What was written to standard output, line by line. */
  lines: Record<string, unknown>[];
  /** What was written for people. */
  said: () => string;
  /** As it comes, to any path of the sidecar. */
  raw(url: string, headers?: string[], method?: string): Promise<Reply>;
  /** The client's request, as its proxy asks about it. */
  ask(method?: string, uri?: string, more?: Asking): Promise<Reply>;
  /** Ends it, and says what it ended with. */
  end(): Promise<number>;
}

export interface Asking extends Changes {
  /** In place of what the agent would send. */
  client?: string[];
  /** Added to what the proxy says, or in place of it. */
  proxy?: Record<string, string | string[] | undefined>;
}

/** @param options flags in place of the usual ones; `proxy` is whose dialect is spoken */
export async function sidecarWorld(
  dialect: DialectName,
  flags: readonly string[] = [],
  seams: object = {},
): Promise<SidecarWorld> {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-sidecar-'));
  const credential = path.join(folder, 'guard.json');
  writeFileSync(credential, JSON.stringify({ issuer, ...fake.guard }));
  const lines: Record<string, unknown>[] = [];
  let said = '';
  let stop: (value?: unknown) => void = () => {};
  const ended = new Promise((resolve) => {
    stop = resolve;
  });
  let code: Promise<number> | undefined;
  const { report: _, ...runtime } = quiet(fake);
  const sidecar = await new Promise<Sidecar>((resolve, reject) => {
    const usual = ['--resource', resource, '--credential', credential, '--proxy', dialect, '--listen', '127.0.0.1:0'];
    code = run({
      args: [...usual, ...flags],
      env: {},
      out: (text) => lines.push(JSON.parse(text)),
      err: (text) => (said += text),
      ended,
      seams: { runtime, ...seams },
      started: resolve,
    });
    code.then((number) => reject(new Error(`ended with ${number}: ${said}`)));
  });

  const raw: SidecarWorld['raw'] = (url, headers = [], method = 'GET') =>
    new Promise((resolve, reject) => {
      const target = new URL(sidecar.url);
      const { hostname: host, port } = target;
      const outgoing = httpRequest({
        host,
        port,
        path: url,
        method,
        headers: ['Host', 'sidecar', ...headers],
        agent: false,
      });
      outgoing.on('error', reject).on('response', (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      });
      outgoing.end();
    });

  return {
    fake,
    agent,
    sidecar,
    lines,
    said: () => said,
    raw,
    async ask(method = 'GET', uri = '/v1/tickets', { client, proxy = {}, ...changes } = {}) {
      const sent = client ?? flat((await agent.request(method, uri.replace(/^\/v1|\?.*$/g, ''), changes)).headers);
      const { headers } = dialects[dialect];
      const usual = {
        'x-forwarded-for': '192.0.2.7',
        ...(headers === undefined ? {} : { [headers.method]: method, [headers.uri]: uri }),
      };
      const asked = [...sent, ...flat({ ...usual, ...proxy })];
      return headers === undefined ? raw(`/check${uri}`, asked, method) : raw('/check', asked);
    },
    async end() {
      stop();
      const ending = await code;
      rmSync(folder, { recursive: true, force: true });
      return ending ?? -1;
    },
  };
}

function flat(headers: Readonly<Record<string, string | readonly string[] | undefined>>): string[] {
  return Object.entries(headers).flatMap(([name, values]) =>
    values === undefined ? [] : [values].flat().flatMap((value) => [name, value]),
  );
}
