/** A real server, an agent of it that may enrol instances, and a clock with timers that the test moves. */
import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { createClientAssertion, generateJwk, type PrivateJwk, publicJwk, signerFrom } from '@bailiwick/protocol';
import { fakeClock } from '../../../server/src/lib/clock.ts';
import { startServer, type TestServer } from '../../../server/src/testing/harness.ts';
import type { EnrolOptions } from '../index.ts';

export interface InstanceWorld {
  server: TestServer;
  /** The API that instances call: the admin API, which the role `reader` may read in part. */
  api: string;
  agent: { id: string; key: PrivateJwk };
  /** What was sent since it was last emptied. */
  requests: string[];
  /** Set to be asked before a request goes out: what it answers is answered in place of the server. */
  instead: ((url: URL, init: RequestInit) => Response | Promise<Response> | undefined) | undefined;
  /** A new enrolment token. */
  token(more?: object): Promise<string>;
  /** Options for `enrol`: on this clock, with a new enrolment token unless changed. */
  options(changes?: Partial<EnrolOptions>): Promise<EnrolOptions>;
  /** Whether a token is alive, as the agent itself hears it. */
  isActive(token: string): Promise<boolean>;
  /** Lets time pass, with the timers that fall due in it, or (`asleep`) without them. */
  pass(ms: number, how?: 'asleep'): Promise<void>;
  /** Waits until no request about instances is under way. */
  quiet(): Promise<void>;
  close(): Promise<void>;
}

interface Timer {
  at: number;
  work: () => void;
}

/**
 * @param start of the clock: TLS takes the real time, everything else any
 * @param ownFetch false to leave the network to the instances themselves, which then are not recorded
 */
export async function createInstanceWorld({ start, ownFetch = true }: { start?: number; ownFetch?: boolean } = {}) {
  const server = await startServer({
    database: 'sqlite',
    ...(start !== undefined && { clock: fakeClock(start) }),
  });
  const { admin, clock, issuer } = server;
  const timers = new Set<Timer>();
  let underWay = 0;

  const api = `${issuer}/admin`;
  const { id: owner } = await admin<{ id: string }>('POST', '/teams', { name: 'crew', display_name: 'Crew' });
  const scopes = ['agents:read', 'resources:read'];
  const role = await admin<{ id: string }>('POST', '/roles', {
    name: 'reader',
    permissions: [{ resource: api, scopes }],
  });
  const { id } = await admin<{ id: string }>('POST', '/agents', {
    name: 'robin',
    kind: 'ai_agent',
    owner,
    resources: [{ resource: api, default: true, scope: ['agents:read'] }],
    limits: { tokens_per_minute: 10_000 },
  });
  const key = await generateJwk('ES256');
  await admin('POST', '/credentials', { agent: id, jwk: publicJwk(key) });
  await admin('PUT', `/agents/${id}/roles/${role.id}`);

  const recorded: typeof fetch = async (input, init = {}) => {
    const url = new URL(String(input));
    world.requests.push(`${init.method ?? 'GET'} ${url.pathname}`);
    const isOwn = url.pathname.startsWith('/instances');
    if (isOwn) underWay++;
    try {
      return (await world.instead?.(url, init)) ?? (await fetch(input, init));
    } finally {
      if (isOwn) underWay--;
    }
  };

  const world: InstanceWorld = {
    server,
    api,
    agent: { id, key },
    requests: [],
    instead: undefined,
    async token(more = {}) {
      const body = { agent: id, kind: 'enrolment_token', ...more };
      return (await admin<{ secret: string }>('POST', '/credentials', body)).secret;
    },
    async options(changes = {}) {
      const byKey = changes.key !== undefined || changes.file !== undefined || changes.enrolmentToken !== undefined;
      const own = {
        now: clock.now,
        random: () => 0,
        sleep: async (ms: number) => clock.advance(ms),
        timer(ms: number, work: () => void) {
          const timer = { at: clock.now() + ms, work };
          timers.add(timer);
          return () => timers.delete(timer);
        },
        ...(ownFetch && { fetch: recorded }),
      };
      return { issuer, ...(!byKey && { enrolmentToken: await world.token() }), ...own, ...changes } as EnrolOptions;
    },
    async isActive(token) {
      const input = { clientId: id, audience: issuer, now: clock.now(), jti: randomUUID() };
      const response = await fetch(`${issuer}/oauth2/introspect`, {
        method: 'POST',
        body: new URLSearchParams({
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: await createClientAssertion(signerFrom(key), input),
          token,
        }),
      });
      return ((await response.json()) as { active: boolean }).active;
    },
    async pass(ms, how) {
      const end = clock.now() + ms;
      for (let next = due(end); how !== 'asleep' && next !== undefined; next = due(end)) {
        clock.advance(Math.max(0, next.at - clock.now()));
        timers.delete(next);
        next.work();
        await world.quiet();
      }
      clock.advance(Math.max(0, end - clock.now()));
    },
    async quiet() {
      do {
        for (let i = 0; i < 20; i++) await setImmediate();
      } while (underWay > 0);
    },
    close: () => server.close(),
  };
  const due = (end: number) => [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
  return world;
}
