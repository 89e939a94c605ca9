/** What an exporter does with events: one way for each kind of target. */
import type { Deps } from '../deps.ts';
import { version } from '../lib/version.ts';
import type { Consumer } from '../log/consumer.ts';
import type { StoredEvent } from '../log/read-on.ts';
import { exporterSecretName } from '../store/secrets.ts';
import { cefLine } from './cef.ts';
import { consumerName, DeliveryError, type Exporter, type FileTarget, type TargetSecret } from './exporter.ts';
import { appendLines } from './file-target.ts';
import { sendOtlp, sendWebhook } from './http-targets.ts';
import { ocsfEvent } from './ocsf.ts';
import { type ExportedEvent, jsonLine, recordsOf } from './record.ts';
import { findExporterSecret } from './store.ts';
import { sendSyslog } from './syslog-target.ts';

/** How many events go at once, and how long that may take. */
const terms = {
  file: { batch: 1000, timeoutMs: 60_000 },
  syslog: { batch: 500, timeoutMs: 30_000 },
  webhook: { batch: 100, timeoutMs: 30_000 },
  otlp: { batch: 200, timeoutMs: 30_000 },
} as const satisfies Record<Exporter['target']['kind'], object>;

/** The exporter as one who reads the log on. */
export function consumerOf(deps: Deps, exporter: Exporter): Consumer {
  const { id, org, wants, target } = exporter;
  return {
    name: consumerName(id),
    wants: { ...wants, org },
    ...terms[target.kind],
    deliver: (events, signal) => deliver(deps, exporter, events, signal),
  };
}

/**
 * Hands events to an exporter's target; resolves once they are there for good.
 * @throws Refused, DeliveryError with a sentence that may be shown
 */
export async function deliver(
  deps: Deps,
  exporter: Exporter,
  stored: readonly StoredEvent[],
  signal: AbortSignal,
): Promise<void> {
  const { id, target } = exporter;
  const { clock, config } = deps;
  const events = await recordsOf(deps.db, stored, exporter.personal);
  if (target.kind === 'file') {
    const { directory } = config.exports;
    if (directory === undefined) throw new DeliveryError('exports.directory is not configured: no files are written');
    return appendLines({ directory, id, target, now: clock.now() }, events.map(lineOf(target.format)));
  }
  const secret = await secretOf(deps, id);
  if (target.kind === 'syslog') {
    const { hostname } = new URL(config.issuer);
    return sendSyslog({ connect: deps.connect, host: hostname, secret, signal }, target, events);
  }
  const sending = { fetch: deps.fetch, issuer: config.issuer, version, now: clock.now(), secret, signal };
  if (target.kind === 'otlp') return sendOtlp(sending, target, events);
  return sendWebhook(sending, target, events);
}

function lineOf(format: FileTarget['format']): (event: ExportedEvent) => string {
  if (format === 'cef') return (event) => cefLine(event, version);
  if (format === 'ocsf') return (event) => JSON.stringify(ocsfEvent(event, { version }));
  return jsonLine;
}

async function secretOf({ db, encryption }: Deps, id: string): Promise<TargetSecret> {
  const sealed = await findExporterSecret(db, id);
  return sealed === undefined ? {} : (JSON.parse(encryption.open(exporterSecretName(id), sealed)) as TargetSecret);
}
