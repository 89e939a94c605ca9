/** What an exporter is in the admin API: what is asked for, and what is shown. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { z } from 'zod';
import { eventTypes } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import {
  consumerName,
  type Exporter,
  fileFormats,
  type Target,
  type TargetSecret,
  webhookFormats,
} from '../exports/exporter.ts';
import { rfc3339 } from '../lib/clock.ts';
import { urlFault } from '../lib/safe-fetch.ts';
import { findConsumer } from '../log/consumers-store.ts';
import { countDeadLetters } from '../log/dead-letters.ts';
import { horizonOf } from '../log/horizon.ts';
import { readOn } from '../log/read-on.ts';
import { invalid } from '../web/problem.ts';
import { flag, idOf, line, oneOf, record, setOf, shownTime, slug, text, wholeNumber } from './fields.ts';

const url = line(2048, 8).superRefine((value, context) => {
  const fault = urlFault(value);
  if (fault !== undefined) context.addIssue(`as a URL ${fault}`);
});
const pem = text(64 * 1024);
const hostMessage = 'must be a host name or an IP address';
const host = z
  .string({ error: hostMessage })
  .regex(/^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$/, hostMessage);
const signingSecret = z.string({ error: 'must be whsec_ and base64 of 24 to 64 bytes' }).refine((value) => {
  const bytes = Buffer.from(value.replace(/^whsec_/, ''), 'base64');
  return /^whsec_[A-Za-z0-9+/]+={0,2}$/.test(value) && bytes.length >= 24 && bytes.length <= 64;
}, 'must be whsec_ and base64 of 24 to 64 bytes');

/** Headers that say how a message is framed, or are ours to say. */
const ownHeaders = [
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'accept',
];
const headers = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, 'must be names of headers')
      .refine((name) => !ownHeaders.includes(name.toLowerCase()), 'must not be headers that this server sets itself'),
    z.string({ error: 'must be text' }).regex(/^[\x20-\x7e]{0,4096}$/, 'must be printable ASCII'),
    { error: 'must be a JSON object of headers' },
  )
  .refine((all) => Object.keys(all).length <= 20, 'must be at most 20 headers');

const fileTarget = {
  kind: z.literal('file'),
  format: oneOf(fileFormats).default('jsonl'),
  max_bytes: wholeNumber(64 * 1024, 100 * 1024 ** 3)
    .default(256 * 1024 * 1024)
    .meta({
      description: 'A file that would grow beyond it is followed by another; each day (UTC) begins one anyway.',
    }),
};
const syslogTarget = {
  kind: z.literal('syslog'),
  host,
  port: wholeNumber(1, 65_535).default(6514),
  ca: pem.optional().meta({ description: 'PEM: who vouches for the server, instead of the Web’s authorities.' }),
  certificate: pem.optional().meta({ description: 'PEM: the certificate that we show.' }),
  enterprise_number: wholeNumber(1, 2 ** 31)
    .default(32_473)
    .meta({
      description:
        'The private enterprise number of the structured data; the one for documentation unless you have one.',
    }),
};
const webhookTarget = { kind: z.literal('webhook'), url, format: oneOf(webhookFormats).default('jsonl') };
const otlpTarget = { kind: z.literal('otlp'), url: url.meta({ description: 'With its path, mostly `/v1/logs`.' }) };

/** As it is sent, with what is secret. */
export const targetSchema = z.discriminatedUnion(
  'kind',
  [
    record(fileTarget),
    record({ ...syslogTarget, key: pem.optional().meta({ description: 'PEM: its private key. Never shown.' }) }),
    record({
      ...webhookTarget,
      secret: signingSecret
        .optional()
        .meta({ description: 'Signs what is sent; made by the server if it is not given. Never shown again.' }),
    }),
    record({
      ...otlpTarget,
      headers: headers.optional().meta({ description: 'Such as `authorization`. Never shown.' }),
    }),
  ],
  { error: 'must have a kind: file, syslog, webhook or otlp' },
);

const shownTarget = z.discriminatedUnion('kind', [
  record(fileTarget),
  record(syslogTarget),
  record(webhookTarget),
  record(otlpTarget),
]);

/** What may be said of an exporter at any time. */
export const writable = {
  types: setOf(
    oneOf(Object.keys(eventTypes) as [keyof typeof eventTypes, ...(keyof typeof eventTypes)[]]),
    200,
    'types of events',
  )
    .optional()
    .meta({ description: 'Only these; without: all.' }),
  outcome: oneOf(['allowed', 'refused']).optional(),
  personal: flag.default(false).meta({
    description:
      'Whether what is personal (persons, owners, addresses, purposes, details) goes out in plain text. What has left can not be erased any more.',
  }),
};

export const exporterName = slug;

/** @throws Problem 422 when a certificate and its key are none, or not of each other */
export function checkedTarget(
  deps: Deps,
  sent: z.output<typeof targetSchema>,
): { target: Target; secret: TargetSecret } {
  if (sent.kind === 'file' && deps.config.exports.directory === undefined) {
    throw invalid('target.kind', 'writes files, and exports.directory is not configured');
  }
  if (sent.kind === 'webhook') {
    const { secret, ...target } = sent;
    return { target, secret: { signing: secret } };
  }
  if (sent.kind === 'otlp') {
    const { headers: given, ...target } = sent;
    return { target, secret: { headers: given } };
  }
  if (sent.kind !== 'syslog') return { target: sent, secret: {} };
  const { key, ...target } = sent;
  if (target.ca !== undefined) authorities(target.ca);
  if (key !== undefined && target.certificate === undefined)
    throw invalid('target.certificate', 'must come with its key');
  if (key !== undefined) usable('target.certificate', { cert: target.certificate, key });
  return { target, secret: { key } };
}

function usable(field: string, pair: { cert: string | undefined; key: string }): void {
  try {
    createSecureContext(pair);
  } catch {
    throw invalid(field, 'must be a certificate in PEM that target.key belongs to');
  }
}

function authorities(pems: string): void {
  const blocks = pems.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    if (blocks.length === 0) throw new Error();
    for (const block of blocks) new X509Certificate(block);
  } catch {
    throw invalid('target.ca', 'must be certificates in PEM');
  }
}

/** To whom what is secret was entrusted: who changes that must know it. */
export function destinationOf(target: Target): string | undefined {
  if (target.kind === 'file') return undefined;
  return target.kind === 'syslog' ? `${target.host}:${target.port}` : new URL(target.url).origin;
}

const states = ['current', 'behind', 'failing'] as const;

export const shown = z.strictObject({
  id: idOf('exporter'),
  organization: idOf('organization')
    .optional()
    .meta({ description: 'Whose events; without: those of all organizations.' }),
  name: slug,
  target: shownTarget,
  types: z.array(z.string()).optional(),
  outcome: z.string().optional(),
  personal: z.boolean(),
  created_at: shownTime,
  status: z.strictObject({
    state: z.enum(states),
    position: z.int().optional().meta({
      description:
        'The arrival up to which everything was delivered. Of one that exports all organizations: events are numbered together.',
    }),
    lag: z
      .int()
      .optional()
      .meta({ description: 'How many events came since, wanted or not. Of one that exports all organizations.' }),
    waiting_since: shownTime
      .optional()
      .meta({ description: 'When the oldest event happened that is still to be delivered.' }),
    failures: z.int().meta({ description: 'How often in a row it could not be delivered.' }),
    last_error: z.string().optional(),
    last_error_at: shownTime.optional(),
    delivered: z.int(),
    delivered_at: shownTime.optional(),
    dead_letters: z
      .int()
      .meta({ description: 'Events that the target refused for good: kept, and tried again when asked.' }),
  }),
});

/** Everything but how far it is. */
const settingsOf = ({ id, org, name, target, wants, personal, createdAt }: Exporter) => ({
  id,
  ...(org !== undefined && { organization: org }),
  name,
  target,
  ...(wants.types && { types: [...wants.types] }),
  ...(wants.outcome !== undefined && { outcome: wants.outcome }),
  personal,
  created_at: rfc3339(createdAt),
});

/** Within the transaction that makes or changes it, where its place in the log can't be asked for. */
export const showBefore = (exporter: Exporter): z.output<typeof shown> => ({
  ...settingsOf(exporter),
  status: { state: 'current', failures: 0, delivered: 0, dead_letters: 0 },
});

export async function show(deps: Deps, exporter: Exporter): Promise<z.output<typeof shown>> {
  const { id, org, wants } = exporter;
  const consumer = consumerName(id);
  const row = await findConsumer(deps.db, consumer);
  const position = row?.position ?? 0;
  const horizon = org === undefined ? await horizonOf(deps) : position;
  const next = await readOn(deps, { ...wants, org, after: position, limit: 1 });
  const waiting = next.events[0];
  const failures = row?.failures ?? 0;
  return {
    ...settingsOf(exporter),
    status: {
      state: failures > 0 ? 'failing' : waiting || next.more ? 'behind' : 'current',
      // how much happens in other organizations is nobody's business
      ...(org === undefined && { position, lag: Math.max(0, horizon - position) }),
      ...(waiting && { waiting_since: rfc3339(waiting.at) }),
      failures,
      ...(row?.last_error && { last_error: row.last_error }),
      ...(row?.last_error_at && { last_error_at: rfc3339(row.last_error_at) }),
      delivered: row?.delivered ?? 0,
      ...(row?.delivered_at && { delivered_at: rfc3339(row.delivered_at) }),
      dead_letters: await countDeadLetters(deps.db, consumer),
    },
  };
}
