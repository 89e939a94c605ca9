/** Rehearsed revocations: to run one, and what the log says of those that there were. */
import { z } from 'zod';
import type { Agent } from '../agents/agent.ts';
import { findAgent, selectAgents } from '../agents/store.ts';
import { CanaryStoppedError } from '../drills/canary.ts';
import { claimDrill, newDrill, type Report, runDrill } from '../drills/drill.ts';
import { probes } from '../drills/probes.ts';
import { rfc3339 } from '../lib/clock.ts';
import { isId } from '../lib/ids.ts';
import { searchEvents } from '../log/search.ts';
import { findOrganization } from '../people/store.ts';
import { LastOperatorError } from '../revocations/last-operator.ts';
import { conflict, invalid, notFound, Problem } from '../web/problem.ts';
import { flag, idOf, line, oneOf, record, shownTime, wholeNumber } from './fields.ts';
import { lastOperator, within } from './reach.ts';
import { type Call, read, write } from './route.ts';
import { listQuery } from './shapes.ts';

const shownRow = z.strictObject({
  probe: oneOf(['guard', ...(Object.keys(probes) as [keyof typeof probes, ...(keyof typeof probes)[]])]),
  what: z.string().optional().meta({ description: 'Which of them, by name: a guard, a resource.' }),
  id: z.string().optional().meta({ description: 'Of a guard.' }),
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
  verdict: oneOf(['passed', 'failed', 'incomplete']).meta({
    description:
      '`passed`: everybody who was asked refuses, and every guard with a lease has acknowledged it or lost the lease. `failed`: somebody still accepts, or is waited for. `incomplete`: nobody, or on the canary not everything of the server’s own, could be asked.',
  }),
  passed: z.boolean().meta({ description: '`verdict` is `passed`.' }),
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
async function recorded(call: Call, limit: number, org = call.org.id) {
  const found = await searchEvents(call.deps, { org, types: [type] }, { order: 'newest', limit });
  return { items: found.events.map(shownEvent) };
}

function shownEvent({ leaf }: { leaf: Record<string, unknown> }): z.output<typeof shownDrill> {
  const { drill, ...figures } = leaf.decided_on as { drill: string } & Omit<Report, 'id' | 'at' | 'org' | 'agent'>;
  const { for_real, rev, passed, took_ms, rows, gaps, verdict = passed ? 'passed' : 'failed' } = figures;
  return {
    id: drill,
    completed_at: String(leaf.at),
    agent: String(leaf.target),
    for_real,
    ...(rev !== undefined && { rev }),
    verdict,
    passed,
    took_ms,
    rows,
    gaps,
  };
}

/** @throws Problem 404 for an agent that isn't there, 422 for one that may not be suspended */
async function realAgent(call: Call, reference: string, forReal: boolean): Promise<Agent> {
  const byName = async () => (await selectAgents(call.q, { org: call.org.id, name: reference, limit: 1 }))[0];
  const found = isId('agent', reference) ? await findAgent(call.q, reference) : await byName();
  const agent = within(call, 'agent', reference, found);
  if (!forReal)
    throw invalid('for_real', `must be true: ${agent.name} would be suspended, and stay so until it is resumed`);
  if (!call.caller.scopes.includes('revocations:write'))
    throw invalid('agent', 'is a real one: suspending it needs revocations:write, which the token does not have');
  return agent;
}

/** On whom, and whose drill it is: that of the organization of the agent. */
async function meant(
  call: Call,
  { body }: { body: { agent?: string | undefined; for_real: boolean } },
): Promise<{ org: Call['org']; agent: Agent | undefined }> {
  if (body.agent === undefined) return { org: call.org, agent: undefined };
  const agent = await realAgent(call, body.agent, body.for_real);
  const org = agent.org === call.org.id ? call.org : await findOrganization(call.q, agent.org);
  if (!org) throw notFound('agent', body.agent);
  return { org, agent };
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
    prepare: meant,
    async handler({ tx, deps, now }, { body }, { org, agent }) {
      if (agent && agent.status !== 'active') throw invalid('agent', `must be active: it is ${agent.status}`);
      const order = { id: newDrill(deps), org, waitMs: body.wait_seconds * 1000 };
      if (!(await claimDrill(tx, deps, order))) throw conflict('drill', 'is running in this organization already');
      return { body: { id: order.id, completed_at: rfc3339(now) } as z.output<typeof shownDrill> };
    },
    async finish(call, { id }, { body }) {
      const { org, agent } = await meant(call, { body });
      const order = { id, org, agent, by: call.caller.agent, waitMs: body.wait_seconds * 1000 };
      const report = await runDrill(call.deps, order).catch((error: Error) => {
        if (error instanceof CanaryStoppedError)
          throw new Problem('conflict', error.message, { errors: [{ field: 'drill', message: 'has no canary' }] });
        throw error instanceof LastOperatorError ? lastOperator(error) : error;
      });
      if (report) return showDrill(report);
      // the same request, sent again
      const earlier = (await recorded(call, 200, org.id)).items.find((each) => each.id === id);
      if (earlier) return earlier;
      throw conflict('drill', 'is under way, or was broken off: see the list of drills');
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
