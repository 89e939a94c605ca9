/** Rehearsed revocations: to run one, and what the log says of those that there were. */
import { z } from 'zod';
import type { Agent } from '../agents/agent.ts';
import { findAgent, selectAgents } from '../agents/store.ts';
import { claimDrill, newDrill, type Report, runDrill } from '../drills/drill.ts';
import { probes } from '../drills/probes.ts';
import { rfc3339 } from '../lib/clock.ts';
import { isId } from '../lib/ids.ts';
import { searchEvents } from '../log/search.ts';
import { conflict, invalid } from '../web/problem.ts';
import { flag, idOf, line, oneOf, record, shownTime, wholeNumber } from './fields.ts';
import { within } from './reach.ts';
import { type Call, read, write } from './route.ts';
import { listQuery } from './shapes.ts';

const shownRow = z.strictObject({
  probe: oneOf(['guard', ...(Object.keys(probes) as [keyof typeof probes, ...(keyof typeof probes)[]])]),
  what: z.string().optional().meta({ description: 'Which of them: a guard, a resource.' }),
  outcome: oneOf(['refused', 'acknowledged', 'lapsed', 'still_accepts', 'waiting', 'not_asked']),
  after_ms: z.number().optional().meta({ description: 'From the order to that.' }),
  note: z.string().optional(),
});

const shownDrill = z.strictObject({
  id: idOf('drill'),
  completed_at: shownTime,
  agent: idOf('agent'),
  for_real: z.boolean(),
  rev: z.number().optional(),
  passed: z.boolean().meta({
    description: 'Everybody who could be asked refuses; every guard has acknowledged it or lost its lease.',
  }),
  took_ms: z.number().meta({ description: 'Until the last of them.' }),
  rows: z.array(shownRow),
  gaps: z.array(z.string()).meta({ description: 'What nobody can call back.' }),
});

const showDrill = ({ at, org: _, rev, ...report }: Report): z.output<typeof shownDrill> => ({
  ...report,
  completed_at: rfc3339(at),
  ...(rev !== undefined && { rev }),
});

const type = 'drill.completed';

/** The evidence of one drill, or of the last ones. */
async function recorded(call: Call, limit: number, after?: number) {
  const found = await searchEvents(call.deps, { org: call.org.id, types: [type] }, { order: 'newest', limit, after });
  return { items: found.events.map(shownEvent), next: found.next };
}

function shownEvent({ leaf }: { leaf: Record<string, unknown> }): z.output<typeof shownDrill> {
  const { drill, ...figures } = leaf.decided_on as { drill: string } & Omit<Report, 'id' | 'at' | 'org' | 'agent'>;
  const { for_real, rev, passed, took_ms, rows, gaps } = figures;
  return {
    id: drill,
    completed_at: String(leaf.at),
    agent: String(leaf.target),
    for_real,
    ...(rev !== undefined && { rev }),
    passed,
    took_ms,
    rows,
    gaps,
  };
}

/** @throws Problem 404 for an agent that isn't there, 422 for one that can't be suspended */
async function realAgent(call: Call, reference: string, forReal: boolean): Promise<Agent> {
  const byName = async () => (await selectAgents(call.q, { org: call.org.id, name: reference, limit: 1 }))[0];
  const found = isId('agent', reference) ? await findAgent(call.q, reference) : await byName();
  const agent = within(call, 'agent', reference, found);
  if (!forReal)
    throw invalid('for_real', `must be true: ${agent.name} would be suspended, and stay so until it is resumed`);
  if (!call.caller.scopes.includes('revocations:write'))
    throw invalid('agent', 'is a real one: suspending it needs revocations:write, which the token does not have');
  if (agent.status !== 'active') throw invalid('agent', `must be active: it is ${agent.status}`);
  return agent;
}

export const drillRoutes = [
  write('POST', {
    id: 'runDrill',
    path: '/drills',
    summary: 'Rehearse a revocation',
    description:
      'On a canary of the server’s own, which is given tokens, an instance and a task, and is then suspended; everybody who can be asked is asked until they refuse. A real agent is suspended, and stays so.',
    scopes: ['drills:run'],
    status: 201,
    body: record({
      agent: line(200, 1).optional().meta({ description: 'Id or name of a real agent, instead of the canary.' }),
      for_real: flag.default(false).meta({ description: 'Has to be said with a real agent.' }),
      wait_seconds: wholeNumber(1, 120).default(30).meta({ description: 'How long to wait for everybody, at most.' }),
    }),
    example: { wait_seconds: 30 },
    response: shownDrill,
    async prepare(call, { body }) {
      if (body.agent !== undefined) await realAgent(call, body.agent, body.for_real);
    },
    async handler(call, { body }) {
      const { tx, deps, org, now } = call;
      const order = { id: newDrill(deps), org, waitMs: body.wait_seconds * 1000 };
      if (!(await claimDrill(tx, deps, order))) throw conflict('drill', 'is running in this organization already');
      return { body: { id: order.id, completed_at: rfc3339(now) } as z.output<typeof shownDrill> };
    },
    async finish(call, { id }, { body }) {
      const earlier = (await recorded(call, 200)).items.find((each) => each.id === id);
      if (earlier) return earlier; // the same request, answered again
      const agent = body.agent === undefined ? undefined : await realAgent(call, body.agent, body.for_real);
      const order = { id, org: call.org, agent, by: call.caller.agent, waitMs: body.wait_seconds * 1000 };
      return showDrill(await runDrill(call.deps, order));
    },
  }),
  read({
    id: 'listDrills',
    path: '/drills',
    summary: 'List rehearsed revocations, newest first',
    scopes: ['events:read'],
    query: listQuery({}),
    response: z.strictObject({ items: z.array(shownDrill) }),
    handler: async (call, { query }) => ({ items: (await recorded(call, query.limit ?? 50)).items }),
  }),
] as const;
