/** How a receiver configures its stream, and how it is shown. @see SSF 1.0 §8.1.1 */
import { canonicalJson } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { urlFault } from '../lib/safe-fetch.ts';
import { deliveryMethods, toldEvents } from '../ssf/events.ts';
import { audienceOfStream, type Stream } from '../ssf/stream.ts';
import { badRequest, type FieldError } from '../web/problem.ts';
import { signalPaths } from './endpoints.ts';

/** What a receiver says of its stream. `authorization`: undefined leaves it, null takes it away. */
export interface Wanted {
  delivery: { method: 'push'; url: string; authorization: string | null | undefined } | { method: 'poll' };
  eventsRequested: readonly string[] | undefined;
  description: string | undefined;
}

const mostEvents = 100;
const longestEvent = 512;
const longestDescription = 1000;
const longestHeader = 4096;

/**
 * Reads what was sent. What the transmitter supplies, and what nobody knows, is looked at by `mustAgree`, or not at all.
 * @param before what stands: members that are absent stay (PATCH). Without, they are as if nothing had ever been said (POST, PUT)
 * @throws Problem 400 naming every field that is wrong
 */
export function wantedIn(deps: Deps, body: Record<string, unknown>, before?: { stream: Stream }): Wanted {
  const errors: FieldError[] = [];
  const standing = before && wantedOf(before.stream);
  const wanted: Wanted = {
    delivery:
      body.delivery === undefined
        ? (standing?.delivery ?? { method: 'poll' }) // SSF 1.0 §8.1.1.1: poll unless it says otherwise
        : (deliveryIn(deps, body.delivery, before?.stream, errors) ?? { method: 'poll' }),
    eventsRequested:
      body.events_requested === undefined ? standing?.eventsRequested : eventsIn(body.events_requested, errors),
    description: body.description === undefined ? standing?.description : descriptionIn(body.description, errors),
  };
  if (errors.length > 0) throw badRequest(errors);
  return wanted;
}

const wantedOf = ({ method, endpointUrl, eventsRequested, description }: Stream): Wanted => ({
  delivery: method === 'push' ? { method, url: endpointUrl as string, authorization: undefined } : { method: 'poll' },
  eventsRequested,
  description,
});

function deliveryIn(
  { config }: Deps,
  given: unknown,
  stream: Stream | undefined,
  errors: FieldError[],
): Wanted['delivery'] | undefined {
  const wrong = (field: string, message: string) => void errors.push({ field: `delivery${field}`, message });
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return wrong('', 'must be an object');
  const { method, endpoint_url: url, authorization_header: header } = given as Record<string, unknown>;
  if (method === deliveryMethods.poll) {
    const ours = stream && pollUrl(config, stream);
    if (url !== undefined && url !== null && url !== ours) {
      return wrong('.endpoint_url', 'is ours to say where the receiver polls: leave it out');
    }
    return { method: 'poll' };
  }
  if (method !== deliveryMethods.push) {
    return wrong('.method', `must be ${deliveryMethods.push} or ${deliveryMethods.poll}`);
  }
  const fault = typeof url === 'string' ? urlFault(url) : 'must be a string';
  if (fault !== undefined)
    return wrong('.endpoint_url', typeof url === 'string' ? fault : 'is required and must be an https URL');
  if (header !== undefined && header !== null) {
    const fits = typeof header === 'string' && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(header);
    if (!fits || header.length > longestHeader) {
      return wrong('.authorization_header', `must be 1 to ${longestHeader} printable ASCII characters`);
    }
  }
  // who reads a configuration gets no header, and may send back what it read
  const kept = stream?.method === 'push' && stream.endpointUrl === url ? undefined : null;
  return { method: 'push', url: url as string, authorization: header === undefined ? kept : (header as string | null) };
}

function eventsIn(given: unknown, errors: FieldError[]): string[] | undefined {
  const fits =
    Array.isArray(given) &&
    given.length > 0 &&
    given.length <= mostEvents &&
    given.every((one) => typeof one === 'string' && one.length <= longestEvent);
  if (fits) return [...new Set(given as string[])];
  errors.push({
    field: 'events_requested',
    message: `must be 1 to ${mostEvents} URIs; leave it out for all that there are`,
  });
  return undefined;
}

function descriptionIn(given: unknown, errors: FieldError[]): string | undefined {
  if (typeof given === 'string' && given.length <= longestDescription) return given;
  errors.push({ field: 'description', message: `must be a string of at most ${longestDescription} characters` });
  return undefined;
}

const pollUrl = ({ issuer }: { issuer: string }, { id }: Pick<Stream, 'id'>): string =>
  `${issuer}${signalPaths.poll}/${id}`;

/** Which of what we tell a stream tells. */
export const eventsDelivered = ({ eventsRequested }: Pick<Stream, 'eventsRequested'>): readonly string[] =>
  toldEvents.filter((type) => eventsRequested?.includes(type) ?? true);

/** A stream as its receiver sees it; the header that pushes carry is shown to nobody. */
export function shownStream({ config }: Pick<Deps, 'config'>, stream: Stream): Record<string, unknown> {
  const { method, eventsRequested, description } = stream;
  return {
    stream_id: stream.id,
    iss: config.issuer,
    aud: audienceOfStream(config, stream),
    events_supported: toldEvents,
    ...(eventsRequested && { events_requested: eventsRequested }),
    events_delivered: eventsDelivered(stream),
    delivery: {
      method: deliveryMethods[method],
      endpoint_url: method === 'push' ? stream.endpointUrl : pollUrl(config, stream),
    },
    min_verification_interval: config.signals.min_verification_seconds,
    ...(description !== undefined && { description }),
  };
}

const supplied = ['iss', 'aud', 'events_supported', 'events_delivered', 'min_verification_interval'] as const;

/**
 * What the transmitter supplies may be sent back, but not changed.
 * @throws Problem 400. @see SSF 1.0 §8.1.1.3
 */
export function mustAgree(deps: Deps, stream: Stream, body: Record<string, unknown>): void {
  const shown = shownStream(deps, stream);
  const sorted = (value: unknown) => canonicalJson(Array.isArray(value) ? [...value].sort() : value);
  const wrong = supplied.filter((name) => body[name] !== undefined && sorted(body[name]) !== sorted(shown[name]));
  if (wrong.length > 0) throw badRequest(wrong.map((field) => ({ field, message: 'is ours to say, and is not this' })));
}
