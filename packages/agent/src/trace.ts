/**
 * Which piece of distributed work a call is part of: `traceparent`, from whoever calls, from OpenTelemetry where the app has it, or made here.
 * @see W3C Trace Context
 */
import { createHash } from 'node:crypto';
import { formatTraceparent, readTraceparent } from '@bailiwick/protocol';
import type { World } from './options.ts';

/** Says what is under way; undefined if that is nothing. */
export type CurrentTrace = () => string | undefined;

/** Where OpenTelemetry's API keeps what the app has set up, for every copy of it in a process. */
const openTelemetry = Symbol.for('opentelemetry.js.api.1');

interface OpenTelemetryApi {
  context?: { active(): unknown };
  propagation?: { inject(context: unknown, carrier: Record<string, string>, setter: object): void };
}

const setter = {
  set(carrier: Record<string, string>, name: string, value: string) {
    carrier[name] = value;
  },
};

/** The span that is active, if the app uses OpenTelemetry and has set up a context manager and W3C propagation. Never throws. */
export function activeTrace(): string | undefined {
  try {
    const { context, propagation } = ((globalThis as Record<symbol, unknown>)[openTelemetry] ?? {}) as OpenTelemetryApi;
    if (context === undefined || propagation === undefined) return undefined;
    const carrier: Record<string, string> = {};
    propagation.inject(context.active(), carrier, setter);
    return carrier.traceparent;
  } catch {
    return undefined;
  }
}

/**
 * What a call is part of: what is under way, or a trace of its own; all that is done at one task is one trace, whoever does it.
 * @returns undefined where nothing is to be sent
 */
export function traceFor(
  { trace, uuid }: Pick<World, 'uuid'> & { trace: CurrentTrace | undefined },
  task: string | undefined,
): string | undefined {
  if (trace === undefined) return undefined;
  const current = readTraceparent(trace());
  if (current !== undefined) return current;
  const traceId = task === undefined ? hex(uuid()) : createHash('sha256').update(task).digest('hex').slice(0, 32);
  return formatTraceparent({ traceId, parentId: hex(uuid()).slice(0, 16), sampled: true });
}

const hex = (uuid: string) => uuid.replaceAll('-', '');
