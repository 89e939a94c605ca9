/** A stream of security signals to one receiver. @see SSF 1.0 §8.1 */
import { sha256Base64url } from '@bailiwick/protocol';
import type { DeliveryMethod } from './events.ts';

export const streamStatuses = ['enabled', 'paused', 'disabled'] as const;
export type StreamStatus = (typeof streamStatuses)[number];

export interface Stream {
  id: string;
  /** Whose signals it tells of, and no other organization's. */
  org: string;
  /** The agent whose stream it is. */
  agent: string;
  method: DeliveryMethod;
  /** Of the receiver, for `push`. */
  endpointUrl: string | undefined;
  /** Types that were asked for; undefined: all. */
  eventsRequested: readonly string[] | undefined;
  description: string | undefined;
  defaultSubjects: 'ALL' | 'NONE';
  status: StreamStatus;
  reason: string | undefined;
  /** The number of the last SET that was put into it. */
  last: number;
  dueAt: number | undefined;
  failures: number;
  fault: string | undefined;
  /** When the receiver last had something (ms). */
  deliveredAt: number | undefined;
  verifiedAt: number | undefined;
  createdAt: number;
  updatedAt: number;
}

/** A SET before it is signed. @see RFC 8417 §2.2 */
export interface SetClaims {
  iss: string;
  aud: string;
  iat: number;
  jti: string;
  /** What gave rise to it: the same in every SET about it. @see SSF 1.0 §4.1.9 */
  txn: string;
  sub_id: Readonly<Record<string, unknown>>;
  events: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** What waits in a stream. */
export interface WaitingSet {
  seq: number;
  jti: string;
  event: string;
  claims: SetClaims;
  attempts: number;
  createdAt: number;
}

/** The audience of a stream's SETs: no other receiver has it, so what is for one is worth nothing at another. */
export const audienceOfStream = (config: { issuer: string }, stream: { agent: string }): string =>
  `${config.issuer}/ssf/receivers/${stream.agent}`;

/** The id of a SET: the same whenever the same is told on the same stream. */
export const jtiOfSet = (stream: string, event: string, type: string, part = ''): string =>
  sha256Base64url(`${stream}\0${event}\0${type}\0${part}`).slice(0, 26);
