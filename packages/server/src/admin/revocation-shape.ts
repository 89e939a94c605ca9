/** Revocations as the admin API names and shows them. */
import { ProtocolError, parseCompact } from '@bailiwick/protocol';
import { z } from 'zod';
import type { Acknowledgement } from '../feed-leases/acknowledgement.ts';
import { rfc3339 } from '../lib/clock.ts';
import type { Reach } from '../revocations/reach.ts';
import { type Effect, effects } from '../revocations/revocable.ts';
import type { Revocation } from '../revocations/store.ts';
import { kindOfId, type RevocableKind, revocableKinds } from '../revocations/subjects.ts';
import { badRequest } from '../web/problem.ts';
import { flag, idOf, line, oneOf, record, shownTime, wholeNumber } from './fields.ts';

export const subjectReference = line(512, 1).meta({
  description:
    'Its id; with `kind` also its name. Of a token its `jti`, of a key its `kid`, of the grant of a role `AGENT+ROLE`.',
});

export const kindField = oneOf(revocableKinds).meta({ description: 'What it is, where the id doesn’t say so.' });

const effectField = oneOf(effects).meta({
  description:
    '`suspend`: until it is resumed. `end`: for good. `tokens`: it goes on, and what was given out until now is dead. Without: what is usual for its kind.',
});

const agentsField = flag.meta({ description: 'With a person: the agents, too, that they answer for.' });

export const revokeBody = record({
  kind: kindField.optional(),
  subject: subjectReference.optional(),
  token: z
    .string({ error: 'must be a token' })
    .max(16_384, 'must be a token')
    .optional()
    .meta({ description: 'In place of `subject`: the token itself. It is not kept.' }),
  effect: effectField.optional(),
  agents: agentsField.default(false),
  reason: line(500, 1).meta({ description: 'Why, for the log. Leave names of people out.' }),
  with_reach: flag.default(false).meta({ description: 'Count first how far it reaches, and answer that, too.' }),
  wait_seconds: wholeNumber(0, 60)
    .default(0)
    .meta({ description: 'How long to wait, at most, until it is true everywhere.' }),
});

export const reachQuery = {
  subject: subjectReference,
  kind: kindField.optional(),
  effect: effectField.optional(),
  agents: z.enum(['true', 'false'], { error: 'must be true or false' }).optional(),
};

/** @throws Problem 400 naming the field */
export function namedSubject(named: { kind?: RevocableKind; subject?: string; token?: string }): {
  kind: RevocableKind;
  reference: string;
} {
  const { kind, subject, token } = named;
  if ((subject === undefined) === (token === undefined)) {
    throw badRequest([{ field: 'subject', message: 'is required, or token in its place' }]);
  }
  if (token !== undefined) {
    if (kind !== undefined && kind !== 'token')
      throw badRequest([{ field: 'kind', message: 'must be token, beside one' }]);
    return { kind: 'token', reference: jtiIn(token) };
  }
  const reference = subject as string;
  const known = kindOfId(reference);
  if (known !== undefined && kind !== undefined && known !== kind) {
    throw badRequest([{ field: 'kind', message: `must be ${known}, which the id is of` }]);
  }
  if (known === undefined && kind === undefined) {
    throw badRequest([{ field: 'kind', message: 'is required where subject is no id that says so' }]);
  }
  return { kind: (known ?? kind) as RevocableKind, reference };
}

function jtiIn(token: string): string {
  try {
    const { jti } = parseCompact(token).payload;
    if (typeof jti === 'string') return jti;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  throw badRequest([{ field: 'token', message: 'must be a token of this server' }]);
}

const shownGuard = z.strictObject({
  guard: idOf('guard'),
  applied_at: shownTime.optional().meta({ description: 'When it said that it had applied it.' }),
  asked: z
    .literal(true)
    .optional()
    .meta({ description: 'It asks about tokens, and an answer that it believed for a moment is over.' }),
  lapsed: z.literal(true).optional().meta({ description: 'It said nothing, and may trust what it knew no more.' }),
});

export const shownAcknowledgement = z.strictObject({
  forgotten: z
    .literal(true)
    .optional()
    .meta({ description: 'It is from before answers were kept: who had to be told isn’t known any more.' }),
  complete: z
    .boolean()
    .meta({ description: 'No guard that follows, or asks about tokens, accepts any more what it ended.' }),
  resources: z.array(
    z.strictObject({
      resource: idOf('resource'),
      acknowledged_at: shownTime.optional(),
      guards: z.array(shownGuard),
      unknown: z.array(idOf('guard')).meta({
        description:
          'Guards that are registered and were not seen to follow or to ask lately: where one runs `offline`, it accepts what was ended until that expires.',
      }),
      unguarded: z.literal(true).optional().meta({ description: 'No guard is registered there.' }),
    }),
  ),
});

export function showAcknowledgement({
  complete,
  resources,
  forgotten,
}: Pick<Acknowledgement, 'complete' | 'resources' | 'forgotten'>): z.output<typeof shownAcknowledgement> {
  return {
    complete,
    ...(forgotten && { forgotten }),
    resources: resources.map(({ resource, acknowledgedAt, guards, unknown, unguarded }) => ({
      resource,
      ...(acknowledgedAt !== undefined && { acknowledged_at: rfc3339(acknowledgedAt) }),
      guards: guards.map(({ guard, appliedAt, lapsed, asked }) => ({
        guard,
        ...(appliedAt !== undefined && { applied_at: rfc3339(appliedAt) }),
        ...(lapsed && { lapsed }),
        ...(asked && { asked }),
      })),
      unknown,
      ...(unguarded && { unguarded }),
    })),
  };
}

const named = z.strictObject({ id: z.string(), name: z.string() });
const counted = z.strictObject({ count: z.number(), more: z.boolean() });

export const shownReach = z.strictObject({
  agents: counted
    .extend({ names: z.array(z.string()) })
    .meta({ description: 'Which it stops, or takes something from.' }),
  instances: z.number().meta({ description: 'Running copies that end with it.' }),
  tasks: z.number().meta({ description: 'Open tasks that end with it.' }),
  mandates: z.number().meta({ description: 'Mandates that can’t be used without it.' }),
  credentials: z.number().meta({ description: 'Credentials that end with it.' }),
  tokens: counted.extend({ until: shownTime.optional() }).optional().meta({
    description:
      'Unexpired tokens that rest on it; `more`: there was no time to count all; `until`: when the last of them ends. None for what concerns every organization.',
  }),
  resources: z
    .array(named.extend({ identifier: z.string(), guards: z.array(named) }))
    .meta({ description: 'Whose guards would hear of it.' }),
  gaps: z
    .array(z.strictObject({ what: z.string(), until: shownTime.optional() }))
    .meta({ description: 'What nobody can call back, and until when it lives by itself.' }),
});

export const showReach = ({ gaps, tokens, ...reach }: Reach): z.output<typeof shownReach> => ({
  ...reach,
  ...(tokens && {
    tokens: {
      count: tokens.count,
      more: tokens.more,
      ...(tokens.until !== undefined && { until: rfc3339(tokens.until) }),
    },
  }),
  gaps: gaps.map(({ what, until }) => ({ what, ...(until !== undefined && { until: rfc3339(until) }) })),
});

export const shownRevocation = z.strictObject({
  rev: z.number().meta({ description: 'Its number: tokens with a smaller one that rest on the subject are dead.' }),
  kind: z.string(),
  subject: z.string(),
  organization: idOf('organization').optional(),
  agent: idOf('agent').optional().meta({ description: 'The agent that it is, or hangs on.' }),
  effect: oneOf(effects),
  reason: z.string(),
  by: z.string().meta({ description: 'The agent whose doing it was.' }),
  revoked_at: shownTime,
  with: z.number().optional().meta({ description: 'It was ordered with the revocation of this number.' }),
  with_more: z.literal(true).optional().meta({ description: 'More was ordered with it: shown with it alone.' }),
});

const shownEffects: Readonly<Record<Revocation['effect'], Effect>> = {
  suspended: 'suspend',
  ended: 'end',
  narrowed: 'tokens',
};

export const showRevocation = (one: Revocation): z.output<typeof shownRevocation> => ({
  rev: one.rev,
  kind: one.kind,
  subject: one.subject,
  ...(one.org !== undefined && { organization: one.org }),
  ...(one.agent !== undefined && { agent: one.agent }),
  effect: shownEffects[one.effect],
  reason: one.reason,
  by: one.by,
  revoked_at: rfc3339(one.at),
  ...(one.cause !== undefined && (one.cause === one.rev ? { with_more: true as const } : { with: one.cause })),
});
