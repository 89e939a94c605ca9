/** A mandate as our own APIs show it: to administrators and agents alike. */
import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { shownContext } from '../lib/context-fields.ts';
import { idOf, oneOf, shownTime } from '../lib/fields.ts';
import type { Queries } from '../store/database.ts';
import { ledgerOf } from './ledger.ts';
import { type Mandate, waysOfGiving } from './mandate.ts';
import { type MandateState, mandateStatuses, statesOf } from './state.ts';

const shownLedger = z
  .array(
    z.strictObject({
      counter: z.string().meta({ description: '`uses`, or `amount:` and its number among the limits, from 0.' }),
      spent: z.number(),
      most: z.number(),
    }),
  )
  .meta({ description: 'What was spent of what is limited, by it and all that it was passed on to.' });

const shownLimits = z.strictObject({
  uses: z.number().optional(),
  amounts: z
    .array(
      z.strictObject({
        type: z.string(),
        amount: z.string(),
        unit: z.strictObject({ at: z.string(), is: z.string() }).optional(),
        total: z.number(),
      }),
    )
    .optional(),
});

/** What it lets an agent do, as it is written, too. */
export const shownPower = {
  resources: z.array(
    z.strictObject({
      resource: z.string().meta({ description: 'Its identifier.' }),
      scope: z.string().optional(),
      authorization_details: z.array(z.record(z.string(), z.unknown())).optional(),
    }),
  ),
  context: shownContext.optional(),
  task: z
    .strictObject({ id: z.string().optional(), workflow: z.string().optional(), environment: z.string().optional() })
    .optional(),
  limits: shownLimits.optional(),
  passing: z.strictObject({ depth: z.number(), to: z.array(idOf('agent')).optional() }),
};

export const shownMandate = z.strictObject({
  id: idOf('mandate'),
  organization: idOf('organization'),
  person: idOf('person').meta({ description: 'For whom.' }),
  agent: idOf('agent').meta({ description: 'Who may act for them.' }),
  instance: idOf('instance').optional().meta({ description: 'The one running copy of it that may.' }),
  parent: idOf('mandate').optional().meta({ description: 'The mandate that it was passed on from.' }),
  name: z.string().optional().meta({ description: 'What whoever wrote it down calls it.' }),
  ...shownPower,
  given: z.strictObject({
    way: oneOf(waysOfGiving),
    by: z.string().meta({ description: 'The agent that wrote it down, or passed it on.' }),
    instance: idOf('instance').optional().meta({ description: 'The running copy of it that passed it on.' }),
    text: z.string().optional().meta({ description: 'What the person saw.' }),
    language: z.string().optional(),
  }),
  status: oneOf(mandateStatuses).meta({
    description: '`stopped`: something that it rests on is paused, suspended or over, and `stopped_by` says what.',
  }),
  stopped_by: z.string().optional(),
  ledger: shownLedger,
  created_at: shownTime,
  expires_at: shownTime,
  ended_at: shownTime.optional().meta({ description: 'When it was ended before that.' }),
});

export type ShownMandate = z.output<typeof shownMandate>;

/** What a resource is called where it is shown, by its id. */
export type IdentifierOf = (resource: string) => Promise<string>;

/** Mandates as they stand at `now` (ms), in their order. */
export async function showMandates(
  q: Queries,
  mandates: readonly Mandate[],
  { now, identifierOf }: { now: number; identifierOf: IdentifierOf },
): Promise<ShownMandate[]> {
  const states = await statesOf(q, mandates, now);
  const shown: ShownMandate[] = [];
  for (const mandate of mandates) {
    shown.push(await showMandate(q, mandate, { state: states.get(mandate.id) as MandateState, identifierOf }));
  }
  return shown;
}

async function showMandate(
  q: Queries,
  mandate: Mandate,
  { state, identifierOf }: { state: MandateState; identifierOf: IdentifierOf },
): Promise<ShownMandate> {
  return {
    id: mandate.id,
    organization: mandate.org,
    person: mandate.person,
    agent: mandate.agent,
    ...(mandate.instance !== undefined && { instance: mandate.instance }),
    ...(mandate.parent !== undefined && { parent: mandate.parent }),
    ...(mandate.name !== undefined && { name: mandate.name }),
    ...(await showPower(mandate, identifierOf)),
    given: { ...mandate.given },
    status: state.status,
    ...(state.stoppedBy !== undefined && { stopped_by: state.stoppedBy }),
    ledger: await ledgerOf(q, mandate),
    created_at: rfc3339(mandate.createdAt),
    expires_at: rfc3339(mandate.endsAt),
    ...(mandate.endedAt !== undefined && { ended_at: rfc3339(mandate.endedAt) }),
  };
}

/** What it lets an agent do, in the words in which it is written. */
export async function showPower(
  { resources, context, task, limits, passing }: Pick<Mandate, 'resources' | 'context' | 'task' | 'limits' | 'passing'>,
  identifierOf: IdentifierOf,
): Promise<z.output<z.ZodObject<typeof shownPower>>> {
  const named: z.output<(typeof shownPower)['resources']> = [];
  for (const { resource, scope, details } of resources) {
    named.push({
      resource: await identifierOf(resource),
      ...(scope.length > 0 && { scope: scope.join(' ') }),
      ...(details.length > 0 && { authorization_details: details.map((each) => ({ ...each })) }),
    });
  }
  const { uses, amounts } = limits;
  return {
    resources: named,
    ...(context && { context: context as z.output<typeof shownContext> }),
    ...(task && { task: { ...task } }),
    ...((uses !== undefined || amounts) && {
      limits: {
        ...(uses !== undefined && { uses }),
        ...(amounts && { amounts: amounts.map((each) => ({ ...each })) }),
      },
    }),
    passing: { depth: passing.depth, ...(passing.to && { to: [...passing.to] }) },
  };
}
