/** Batches by POST: webhooks that are signed (Standard Webhooks 1.0), and OpenTelemetry collectors. */
import { createHash, createHmac } from 'node:crypto';
import { FetchError, type Fetched, type SafeFetch } from '../lib/safe-fetch.ts';
import { Refused } from '../log/consumer.ts';
import { DeliveryError, type OtlpTarget, type TargetSecret, type WebhookTarget } from './exporter.ts';
import { ocsfEvent } from './ocsf.ts';
import { otlpLogs } from './otlp.ts';
import type { ExportedEvent } from './record.ts';

export interface HttpSending {
  fetch: SafeFetch;
  issuer: string;
  version: string;
  now: number;
  secret: TargetSecret;
  signal: AbortSignal;
}

const answerBytes = 64 * 1024;

/**
 * Posts a batch and its signature.
 * @throws Refused, DeliveryError
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export async function sendWebhook(
  sending: HttpSending,
  target: WebhookTarget,
  events: readonly ExportedEvent[],
): Promise<void> {
  const { version, secret, now } = sending;
  const shown = events.map((event) =>
    target.format === 'ocsf'
      ? ocsfEvent(event, { version })
      : { ...event.leaf, ...(event.personal && { personal: event.personal }) },
  );
  const last = events.at(-1) as ExportedEvent;
  const body = JSON.stringify({ type: 'log.events', timestamp: last.leaf.at, data: { events: shown } });
  // the same events are the same message, whenever they are sent
  const id = `msg_${hashOf(events.map(({ leaf }) => leaf.id).join(' '))}`;
  const timestamp = String(Math.floor(now / 1000));
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': webhookSignature(secret.signing ?? '', id, timestamp, body),
  };
  const { status } = await posted(sending, target.url, headers, body);
  if (status < 200 || status > 299) throw refusal(status);
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 32);

/** `v1,` and HMAC-SHA256 over `<id>.<timestamp>.<body>`. @param secret `whsec_` and base64 */
export function webhookSignature(secret: string, id: string, timestamp: string, body: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}

/**
 * Posts a batch as OTLP/HTTP in JSON.
 * @throws Refused, DeliveryError
 * @see https://opentelemetry.io/docs/specs/otlp/#otlphttp
 */
export async function sendOtlp(
  sending: HttpSending,
  target: OtlpTarget,
  events: readonly ExportedEvent[],
): Promise<void> {
  const { issuer, version, now, secret } = sending;
  const body = JSON.stringify(otlpLogs(events, { issuer, version, observedAt: now }));
  const headers = { ...secret.headers, 'content-type': 'application/json' };
  const answer = await posted(sending, target.url, headers, body);
  if (answer.status < 200 || answer.status > 299) throw refusal(answer.status);
  const rejected = rejectedOf(answer);
  // which of them is not said: they are sent one by one until it shows
  if (rejected > 0) throw new Refused(`it rejected ${rejected} of ${events.length} records`);
}

/** `partialSuccess.rejectedLogRecords`: a 64-bit number, so a string in JSON. */
function rejectedOf({ body }: Fetched): number {
  try {
    const { partialSuccess } = JSON.parse(body.toString('utf8')) as {
      partialSuccess?: { rejectedLogRecords?: string | number };
    };
    return Number(partialSuccess?.rejectedLogRecords ?? 0) || 0;
  } catch {
    return 0; // it answered 2xx, with nothing or in another language
  }
}

async function posted(
  { fetch: send, signal }: HttpSending,
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<Fetched> {
  try {
    return await send(url, {
      types: ['application/json'],
      maxBytes: answerBytes,
      anyStatus: true,
      signal,
      send: { method: 'POST', headers, body },
    });
  } catch (error) {
    if (error instanceof FetchError) throw new DeliveryError(error.message);
    throw error;
  }
}

/** What is wrong with the content is wrong whenever it comes; everything else may be well tomorrow. */
function refusal(status: number): Error {
  const said = `it answered with ${status}`;
  return [400, 413, 415, 422].includes(status) ? new Refused(said) : new DeliveryError(said);
}
