/**
 * What guards hear of revocations: signed messages for one resource, each of which follows on the one before it.
 *
 * A message says everything that was revoked of the tokens for its resource after number `after`, up to number `rev`. Who is at another number
 * than `after` has missed something, or was told something again, and doesn't apply it. A message whose `after` is null begins anew: whatever
 * was known before is forgotten.
 */
import { ProtocolError } from './errors.ts';
import { type EncodedHeader, type ParsedJws, type SigningKey, signCompact } from './jws.ts';

/** The header `typ` of a message: nothing else that we sign can be taken for one. */
export const feedMessageType = 'bailiwick-feed+jwt';

/** How many entries a message holds at most, and how long its JWS can be: more is told in several. */
export const feedMessageBounds = { entries: 2_000, length: 262_144 } as const;

/**
 * One revocation: tokens with this tag and a smaller `rev` are dead. `until` (seconds since 1970) is when the last of them has expired, clocks'
 * tolerance included.
 */
export type FeedEntry = readonly [rev: number, tag: string, until: number];

export interface FeedMessage {
  iss: string;
  /** The id of the resource (`res_…`). */
  aud: string;
  /** Seconds since 1970. */
  iat: number;
  /** The number that this follows on; null begins anew. */
  after: number | null;
  /** The number that one is at with this; `after` if nothing was revoked. */
  rev: number;
  /**
   * In a message that begins anew: what was revoked up to this number isn't told, because it is too much. Tokens with a smaller `rev`, and
   * only those, have to be asked about.
   */
  floor?: number;
  /** By ascending number. */
  entries: readonly FeedEntry[];
  /** More follows at once: who is at `rev` isn't up to date yet. */
  more?: true;
  /** Of the requests for a lease that this answers, if it does: what each guard made up for its own. */
  nonces?: readonly string[];
  /** With `nonces`: for how long (ms), counted from its own request, a guard that is at `rev` may trust what it knows. */
  lease?: number;
}

/** @param header with `typ` `bailiwick-feed+jwt`, encoded once */
export function signFeedMessage(header: EncodedHeader, message: FeedMessage, key: SigningKey): string {
  return signCompact(header, message, key);
}

/**
 * Reads a message whose signature was verified.
 * @throws ProtocolError `wrong_type`, `wrong_issuer`, `wrong_audience`, `malformed`
 */
export function readFeedMessage(parsed: ParsedJws, expected: { issuer: string; resource: string }): FeedMessage {
  if (parsed.header.typ !== feedMessageType) throw new ProtocolError('wrong_type', 'this is no message of a feed');
  const message = parsed.payload as unknown as FeedMessage;
  if (message.iss !== expected.issuer) throw new ProtocolError('wrong_issuer', 'the message is from another issuer');
  if (message.aud !== expected.resource)
    throw new ProtocolError('wrong_audience', 'the message is for another resource');
  checkShape(message);
  return message;
}

function checkShape({ iat, after, rev, floor, entries, more, nonces, lease }: FeedMessage): void {
  const counts = isCount(iat) && isCount(rev) && (after === null || (isCount(after) && after <= rev));
  if (!counts) throw malformed('its numbers');
  if (floor !== undefined && (after !== null || !isCount(floor) || floor > rev)) throw malformed('floor');
  if (more !== undefined && more !== true) throw malformed('more');
  if (nonces !== undefined && !(Array.isArray(nonces) && nonces.every((one) => typeof one === 'string'))) {
    throw malformed('nonces');
  }
  if ((nonces === undefined) !== (lease === undefined)) throw malformed('lease');
  if (lease !== undefined && !isCount(lease)) throw malformed('lease');
  if (!Array.isArray(entries) || entries.length > feedMessageBounds.entries) throw malformed('entries');
  let last = after ?? floor ?? 0;
  for (const entry of entries as unknown[]) {
    if (!Array.isArray(entry) || entry.length !== 3) throw malformed('an entry');
    const [number, tag, until] = entry as unknown[];
    if (!isCount(number) || number <= last || number > rev) throw malformed('the number of an entry');
    if (typeof tag !== 'string' || !isCount(until)) throw malformed('an entry');
    last = number;
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const malformed = (what: string) => new ProtocolError('malformed', `a message of the feed is malformed: ${what}`);

/** What a guard made of a request for a lease, in the order in which it is authenticated. */
export interface LeaseRequest {
  /** The feed session, as the server named it. */
  session: string;
  /** Counts the requests of a session: one that was seen is not taken again. */
  count: number;
  /** The number that the guard is at. */
  applied: number;
  /** Made up for this request. */
  nonce: string;
}

/** What the MAC of a request for a lease is over: HMAC-SHA256 under the session's key, base64url. */
export const leaseRequestText = ({ session, count, applied, nonce }: LeaseRequest): string =>
  `bailiwick-feed-lease\n${session}\n${count}\n${applied}\n${nonce}`;

/** What the MAC of an acknowledgement alone is over: it asks for nothing, so nothing has to answer this very request. */
export const feedAppliedText = ({ session, count, applied }: Omit<LeaseRequest, 'nonce'>): string =>
  `bailiwick-feed-applied\n${session}\n${count}\n${applied}`;

/** What the MAC of giving a lease back is over: no captured request for a lease is one for its end. */
export const leaseEndText = ({ session, count }: Pick<LeaseRequest, 'session' | 'count'>): string =>
  `bailiwick-feed-end\n${session}\n${count}`;
