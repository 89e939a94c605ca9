/** A request for a part of a mandate as our own APIs show it: to whoever asks, to whoever is asked, and to administrators. */
import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { idOf, oneOf, shownTime } from '../lib/fields.ts';
import type { Queries } from '../store/database.ts';
import { type MandateRequest, type RequestStatus, requestStatus, requestStatuses } from './request.ts';
import { wantedPart } from './wanted.ts';

export const shownRequest = z.strictObject({
  id: idOf('mandate_request'),
  organization: idOf('organization'),
  agent: idOf('agent').meta({ description: 'Who asks.' }),
  instance: idOf('instance')
    .optional()
    .meta({ description: 'The running copy of it that asks: what is granted is for that one alone.' }),
  from: idOf('agent').meta({ description: 'Who is asked.' }),
  parent: idOf('mandate').optional().meta({ description: 'The mandate of which a part is wanted, if that was said.' }),
  ...wantedPart,
  why: z.string().optional(),
  status: oneOf(requestStatuses).meta({
    description: '`stopped`: who asks or who is asked was suspended or ended since.',
  }),
  mandate: idOf('mandate').optional().meta({ description: 'The one that was granted.' }),
  reason: z.string().optional().meta({ description: 'Why it was refused.' }),
  created_at: shownTime,
  answer_by: shownTime.meta({ description: 'Until when it can be granted.' }),
  answered_at: shownTime.optional().meta({ description: 'When it was granted, refused or withdrawn.' }),
});

export type ShownRequest = z.output<typeof shownRequest>;

/** A request as it stands at `now` (ms). */
export async function showRequest(q: Queries, request: MandateRequest, now: number): Promise<ShownRequest> {
  const { id, org, agent, instance, holder, wanted, why, mandate, reason, createdAt, answerBy, answeredAt } = request;
  return {
    id,
    organization: org,
    agent,
    ...(instance !== undefined && { instance }),
    from: holder,
    ...wanted,
    ...(why !== undefined && { why }),
    status: await requestStatus(q, request, now),
    ...(mandate !== undefined && { mandate }),
    ...(reason !== undefined && { reason }),
    created_at: rfc3339(createdAt),
    answer_by: rfc3339(answerBy),
    ...(answeredAt !== undefined && { answered_at: rfc3339(answeredAt) }),
  };
}

/** Which of them a query is to look for where those of this status are wanted: it can't tell what has been stopped. */
export const selectedStatus = (status: RequestStatus | undefined): Exclude<RequestStatus, 'stopped'> | undefined =>
  status === 'stopped' ? 'pending' : status;
