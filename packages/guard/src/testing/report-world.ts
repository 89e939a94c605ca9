/** A guard whose reports go to an identity provider in memory, and time that is the test's. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Report, ReportResult } from '@bailiwick/protocol';
import { createGuard, type Guard } from '../guard.ts';
import type { GuardOptions } from '../options.ts';
import { type FakeAgent, type FakeIssuer, fakeAgent, fakeIssuer, quiet } from './fake-issuer.ts';

export type Taken = Report & Record<string, unknown>;

export interface ReportWorld {
  fake: FakeIssuer;
  agent: FakeAgent;
  guard: Guard;
  /** What the identity provider has taken, each id once. */
  taken: Map<string, Taken>;
  /** The batches that arrived, taken or not, as lists of ids. */
  batches: string[][];
  /** How `/events` answers: a status in place of taking the batch, or for single reports. */
  events: { status?: number; lost?: boolean; refuse?: (report: Taken) => string | undefined };
  problems: string[];
  /** What otherwise happens every so often: written down, and sent as far as that goes. */
  tick(): Promise<void>;
  /** Some allowed requests. */
  use(count?: number, method?: string, path?: string): Promise<void>;
  ofType(type: string): Taken[];
}

export async function reportWorld(
  more: Partial<GuardOptions> = {},
  { fake: given, taken = new Map() }: { fake?: FakeIssuer; taken?: Map<string, Taken> } = {},
): Promise<ReportWorld> {
  const fake = given ?? (await fakeIssuer());
  const batches: string[][] = [];
  const events: ReportWorld['events'] = {};
  const usual = fake.fetch;
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const answer = await usual(input, init);
    if (new URL(String(input)).pathname !== '/events') return answer;
    const { reports } = JSON.parse(String(init?.body)) as { reports: Taken[] };
    batches.push(reports.map(({ id }) => id));
    if (events.status !== undefined) return new Response('{}', { status: events.status });
    const results = reports.map((report): ReportResult => {
      const { id } = report;
      const reason = events.refuse?.(report);
      if (reason !== undefined) return { id, outcome: 'refused', reason };
      if (taken.has(id)) return { id, outcome: 'known' };
      taken.set(id, report);
      return { id, outcome: 'recorded' };
    });
    if (events.lost === true) throw new TypeError('fetch failed');
    return Response.json({ results });
  };
  const runtime = quiet({ clock: fake.clock, fetch });
  const guard = createGuard(fake.options({ mode: 'offline', runtime, ...more }));
  const agent = await fakeAgent(fake);
  return {
    fake,
    agent,
    guard,
    taken,
    batches,
    events,
    problems: runtime.problems,
    tick: () => guard.flush(),
    async use(count = 1, method = 'GET', target = '/tickets/17') {
      for (let i = 0; i < count; i++) await guard.decide(await agent.request(method, target));
    },
    ofType: (type) => [...taken.values()].filter((report) => report.type === type),
  };
}

/** A folder for one test. */
export function temporaryFolder(): { folder: string; remove(): void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-reports-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
