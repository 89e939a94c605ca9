/** OpenTelemetry logs as OTLP/HTTP has them in JSON: lowerCamelCase, 64-bit numbers as strings, ids as hex. */
import { addressOf, type ExportedEvent } from './record.ts';

type AnyValue =
  | { stringValue: string }
  | { boolValue: boolean }
  | { intValue: string }
  | { doubleValue: number }
  | { arrayValue: { values: AnyValue[] } }
  | { kvlistValue: { values: KeyValue[] } };

interface KeyValue {
  key: string;
  value: AnyValue;
}

/** `SEVERITY_NUMBER_INFO`, `SEVERITY_NUMBER_WARN`. */
const severities = { allowed: [9, 'INFO'], refused: [13, 'WARN'] } as const;

/**
 * The body of a request to `/v1/logs`.
 * @param observedAt milliseconds: when it was handed on
 * @see opentelemetry-proto, `ExportLogsServiceRequest`
 */
export function otlpLogs(
  events: readonly ExportedEvent[],
  { issuer, version, observedAt }: { issuer: string; version: string; observedAt: number },
) {
  const resource = {
    'service.name': 'bailiwick',
    'service.version': version,
    'service.instance.id': issuer,
  };
  return {
    resourceLogs: [
      {
        resource: { attributes: attributes(resource) },
        scopeLogs: [
          {
            scope: { name: 'bailiwick.log', version },
            logRecords: events.map((event) => logRecord(event, observedAt)),
          },
        ],
      },
    ],
  };
}

function logRecord(event: ExportedEvent, observedAt: number) {
  const { leaf, personal } = event;
  const [severityNumber, severityText] = severities[leaf.outcome];
  const [, traceId, spanId, flags] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(leaf.trace ?? '') ?? [];
  const values: Record<string, unknown> = {
    'log.record.uid': leaf.id,
    'bailiwick.outcome': leaf.outcome,
    'bailiwick.org': leaf.org,
    'bailiwick.agent': leaf.agent,
    'bailiwick.instance': leaf.instance,
    'bailiwick.target': leaf.target,
    'bailiwick.resource': leaf.resource,
    'bailiwick.jti': leaf.jti,
    'bailiwick.reason': leaf.reason,
    'client.address': addressOf(event),
    'bailiwick.decided_on': leaf.decided_on,
    'bailiwick.personal': personal,
  };
  return {
    timeUnixNano: nanoseconds(event.at),
    observedTimeUnixNano: nanoseconds(observedAt),
    severityNumber,
    severityText,
    eventName: `bailiwick.${leaf.type}`,
    body: { stringValue: event.text },
    attributes: attributes(values),
    ...(traceId !== undefined && { traceId, spanId, flags: Number.parseInt(flags as string, 16) }),
  };
}

const nanoseconds = (ms: number): string => `${Math.trunc(ms)}000000`;

function attributes(values: Readonly<Record<string, unknown>>): KeyValue[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const converted = anyValue(value);
    return converted === undefined ? [] : [{ key, value: converted }];
  });
}

function anyValue(value: unknown): AnyValue | undefined {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  if (Array.isArray(value)) return { arrayValue: { values: value.flatMap((one) => anyValue(one) ?? []) } };
  if (typeof value !== 'object' || value === null) return undefined;
  return { kvlistValue: { values: attributes(value as Record<string, unknown>) } };
}
