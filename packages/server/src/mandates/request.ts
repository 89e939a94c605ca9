/** What an agent asks of another: a part of a mandate that this one holds. Nothing comes of it until it is granted. */
import { firstNotAlive } from '../liveness/liveness.ts';
import type { Queries } from '../store/database.ts';
import type { WantedPart } from './wanted.ts';

export interface MandateRequest {
  id: string;
  org: string;
  /** Who asks. */
  agent: string;
  /** The running copy of it that asks, if it is one: what is granted is for that one alone. */
  instance: string | undefined;
  /** Who is asked: the agent that would pass a part on. */
  holder: string;
  /** As it was written, not looked up: whoever asks learns nothing of what there is. */
  wanted: WantedRequest;
  /** In words for whoever grants it. */
  why: string | undefined;
  state: (typeof requestStates)[number];
  /** The mandate that was granted. */
  mandate: string | undefined;
  /** Why it was refused. */
  reason: string | undefined;
  /** Who asks and who is asked, with all that these rest on: once one was stopped under a number greater than `rev`, it is of no use any more. */
  restsOn: readonly string[];
  rev: number;
  /** Milliseconds, as all times inside. */
  createdAt: number;
  answerBy: number;
  answeredAt: number | undefined;
}

/** What is wanted, and of which mandate, if whoever asks knows. */
export type WantedRequest = WantedPart & { parent?: string | undefined };

const requestStates = ['pending', 'granted', 'refused', 'withdrawn'] as const;

/** `stopped`: who asks or who is asked was suspended or ended since, or the organization. */
export const requestStatuses = [...requestStates, 'expired', 'stopped'] as const;
export type RequestStatus = (typeof requestStatuses)[number];

/** How long one waits for its answer, in seconds: usually, and at most. */
export const answeredWithin = { usual: 600, most: 3600 } as const;

/** How a request stands at `now` (ms). What was stopped is not asked again by being resumed. */
export async function requestStatus(q: Queries, request: MandateRequest, now: number): Promise<RequestStatus> {
  const { state, answerBy, restsOn, rev } = request;
  if (state !== 'pending') return state;
  if (answerBy <= now) return 'expired';
  return (await firstNotAlive(q, restsOn, { rev, now })) === undefined ? 'pending' : 'stopped';
}
