/** Reads a SET of a source, strictly. @see RFC 8417, RFC 8725, SSF 1.0 §4.1 */
import { isJsonObject, type ParsedJws, ProtocolError, parseCompact, verifyParsed } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { caep, type HeardEvent, heardEvents, setType, streamUpdatedEvent, verificationEvent } from '../ssf/events.ts';
import { longestSet, type Source } from '../ssf/source.ts';
import { type Subject, subjectFault } from '../ssf/subject.ts';
import { parseJsonBody } from '../web/body.ts';
import { Problem } from '../web/problem.ts';
import { SetError } from './set-error.ts';
import { keysOf } from './source-keys.ts';

/** How old a SET may be: a transmitter keeps what it could not deliver. And how far ahead its clock (ms). */
const oldestMs = 7 * 24 * 60 * 60_000;
const aheadMs = 60_000;
/** For so long after its time (ms) it is known which SET was taken: a minute more than it could come again. */
export const keptMs = oldestMs + 2 * aheadMs;

export interface ReadSet {
  jti: string;
  /** Milliseconds. */
  issuedAt: number;
  txn: string | undefined;
  /** The whole name of the event, and ours for it; undefined where it is about the stream, or nothing that we know. */
  event: string;
  known: HeardEvent | undefined;
  subject: Subject;
  says: Readonly<Record<string, unknown>>;
}

/** @throws SetError */
export async function readSet(deps: Deps, source: Source, text: string): Promise<ReadSet> {
  const parsed = parse(text.trim());
  checkType(parsed.header.typ);
  const { payload } = parsed;
  // what is not meant for us isn't worth a signature
  if (payload.iss !== source.issuer) throw new SetError('invalid_issuer', 'the SET is of another issuer');
  const audience = Array.isArray(payload.aud) ? payload.aud : [payload.aud];
  if (!audience.some((one) => typeof one === 'string' && source.audience.includes(one))) {
    throw new SetError('invalid_audience', 'the SET is for somebody else');
  }
  const keys = await keysOf(deps, source, { alg: parsed.header.alg, kid: parsed.header.kid });
  if (!keys.some((key) => verifyParsed(parsed, key))) {
    throw new SetError('invalid_key', 'the signature of the SET is not by a key of its issuer');
  }
  return contentOf(deps, plain(payload));
}

function parse(text: string): ParsedJws {
  try {
    return parseCompact(text, longestSet);
  } catch (error) {
    if (error instanceof ProtocolError) throw new SetError('invalid_request', error.message);
    throw error;
  }
}

/** The same, if it holds nothing that would trouble a database or a stack: no more than sixteen levels, and well-formed text. */
function plain(payload: ParsedJws['payload']): ParsedJws['payload'] {
  try {
    return parseJsonBody(JSON.stringify(payload)) as ParsedJws['payload'];
  } catch (error) {
    if (error instanceof Problem)
      throw new SetError('invalid_request', 'the SET is too deep, or has text that is none');
    throw error;
  }
}

/** @see RFC 8417 §2.3, RFC 7515 §4.1.9 */
function checkType(typ: unknown): void {
  if (typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') === setType) return;
  throw new SetError('invalid_request', `the header must have typ ${setType}`);
}

function contentOf({ clock }: Deps, payload: ParsedJws['payload']): ReadSet {
  const { jti, iat, sub, exp, sub_id: subject, events, txn } = payload;
  const now = clock.now();
  const wrong = (message: string) => new SetError('invalid_request', message);
  if (typeof jti !== 'string' || jti === '' || jti.length > 256)
    throw wrong('jti must be a string of at most 256 characters');
  if (typeof iat !== 'number' || !Number.isFinite(iat)) throw wrong('iat must be a number');
  if (iat * 1000 > now + aheadMs) throw wrong('iat lies in the future');
  if (iat * 1000 < now - oldestMs) throw wrong('the SET is older than seven days');
  // SSF 1.0 §4.1.3 and §4.1.7: so that no SET is ever taken for another JWT
  if (sub !== undefined) throw wrong('sub must not be there: the subject stands in sub_id');
  if (exp !== undefined) throw wrong('exp must not be there');
  const entries = isJsonObject(events) ? Object.entries(events) : [];
  const [entry] = entries;
  if (!entry || entries.length > 1 || !isJsonObject(entry[1]))
    throw wrong('events must have exactly one event, an object');
  const fault = subjectFault(subject);
  if (fault !== undefined) throw wrong(`sub_id ${fault}`);
  const [event, says] = entry;
  return {
    jti,
    issuedAt: iat * 1000,
    txn: typeof txn === 'string' ? txn.slice(0, 256) : undefined,
    event,
    known: heardEvents.find((name) => event === caep + name),
    subject: subject as Subject,
    says: says as Record<string, unknown>,
  };
}

/** Whether it is about the stream itself, and asks for nothing. @see SSF 1.0 §8.1.4 and §8.1.5 */
export const isControl = ({ event }: ReadSet): boolean => event === verificationEvent || event === streamUpdatedEvent;
