/**
 * A story as OpenTelemetry spans (OTLP/JSON): what it is about is the root, tokens are its children, uses are theirs, and what else happened are events on
 * them. Ids come from the W3C trace context that requests came with, where there is one; else from the ids of events, so that the same story
 * always gives the same spans.
 * @see https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
import { hash } from 'node:crypto';
import type { OpenedEvent } from '../audit/audit.ts';
import { traceIdOf } from './event-values.ts';
import { happenedAt, type Story } from './story.ts';
import { type NameOf, told } from './telling.ts';

interface Attribute {
  key: string;
  value: { stringValue: string } | { intValue: string } | { arrayValue: { values: { stringValue: string }[] } };
}

export interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  /** 1: internal, 2: server. */
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: Attribute[];
  events: { name: string; timeUnixNano: string; attributes: Attribute[] }[];
  links: { traceId: string; spanId: string }[];
  /** 1: well, 2: refused. */
  status: { code: number; message?: string };
}

export interface TraceDocument {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: { scope: { name: string }; spans: Span[] }[];
  }[];
}

/** @param issuer whose story it is: the name of the service */
export function spansOf(story: Story, issuer: string, nameOf: NameOf): TraceDocument {
  const { events, of } = story;
  const spans = events.length === 0 ? [] : spansIn(story, nameOf);
  return {
    resourceSpans: [
      {
        resource: {
          attributes: attributes({
            'service.name': 'bailiwick',
            'bailiwick.issuer': issuer,
            'bailiwick.story': `${of.kind} ${of.id}`,
          }),
        },
        scopeSpans: [{ scope: { name: 'bailiwick.log' }, spans }],
      },
    ],
  };
}

function spansIn({ of, events, ends: endings }: Story, nameOf: NameOf): Span[] {
  const issues = events.filter(({ leaf }) => leaf.type === 'token.issued');
  const uses = events.filter(({ leaf }) => leaf.type === 'access.used');
  const others = events.filter((event) => !issues.includes(event) && !uses.includes(event));
  const opened = others.find(({ leaf }) => leaf.type === 'task.opened' && leaf.target === of.id);
  const middle = [...issues, ...uses, ...(opened ? [opened] : [])];
  const traceId = commonTrace(of.kind === 'trace' ? of.id : undefined, middle) ?? idOf(16, `${of.kind} ${of.id}`);
  const times = (middle.length > 0 ? middle : events).map(happenedAt);

  const root: Span = {
    ...blank(traceId, idOf(8, `root ${of.kind} ${of.id}`), Math.min(...times)),
    name: of.kind === 'trace' ? 'trace' : `${of.kind} ${nameOf(of.id)}`,
    attributes: attributes({
      [`bailiwick.${of.kind}`]: of.id,
      ...(opened && { 'bailiwick.workflow': onOf(opened).workflow }),
    }),
  };
  const tokens = new Map<string, Span>();
  for (const event of issues) {
    const { leaf } = event;
    const jti = leaf.jti as string;
    const on = onOf(event);
    const span = {
      ...spanOf(event, traceId, root.spanId, `token ${String(leaf.resource ?? '')}`),
      endTimeUnixNano: nano(Math.min(endings.get(jti) ?? Number.POSITIVE_INFINITY, Number(on.expires_at))),
    };
    tokens.set(jti, span);
  }
  const used = uses.map((event) => {
    const parent = tokens.get(event.leaf.jti as string) ?? root;
    const { operation, method, path } = onOf(event);
    return spanOf(
      event,
      traceId,
      parent.spanId,
      String(operation ?? [method, path].filter(Boolean).join(' ') ?? 'use'),
      2,
    );
  });
  for (const event of others) {
    const on = tokens.get(event.leaf.jti as string) ?? tokens.get(event.leaf.target as string) ?? root;
    on.events.push({
      name: event.leaf.type as string,
      timeUnixNano: nano(happenedAt(event)),
      attributes: attributes({ 'bailiwick.event': event.id, 'bailiwick.says': told(event.leaf, nameOf) }),
    });
  }
  const all = [...tokens.values(), ...used];
  const last = all.reduce(
    (end, span) => (BigInt(span.endTimeUnixNano) > end ? BigInt(span.endTimeUnixNano) : end),
    BigInt(nano(Math.max(...times))),
  );
  const end = of.kind === 'task' ? endOf(of.id, others) : undefined;
  root.endTimeUnixNano = end === undefined ? String(last) : nano(end);
  return [root, ...all];
}

/** When a task was ended before its time (ms). */
function endOf(task: string, events: readonly OpenedEvent[]): number | undefined {
  const end = events.find(
    ({ leaf }) => leaf.type === 'task.ended' && leaf.outcome === 'allowed' && leaf.target === task,
  );
  return end && happenedAt(end);
}

function spanOf(event: OpenedEvent, traceId: string, parentSpanId: string, name: string, kind = 1): Span {
  const { leaf, id } = event;
  const on = onOf(event);
  const [, linked, span] = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-/.exec(String(leaf.trace)) ?? [];
  return {
    ...blank(traceId, idOf(8, id), happenedAt(event)),
    parentSpanId,
    name,
    kind,
    attributes: attributes({
      'bailiwick.event': id,
      'bailiwick.agent': leaf.agent,
      'bailiwick.instance': leaf.instance,
      'bailiwick.resource': leaf.resource,
      'bailiwick.jti': leaf.jti,
      'bailiwick.task': on.task,
      'bailiwick.policy': on.policy,
      'bailiwick.scope': on.scope,
      'bailiwick.operation': on.operation,
      'http.request.method': on.method,
      'http.route': on.path,
      'http.response.status_code': on.status,
    }),
    links: linked && span ? [{ traceId: linked, spanId: span }] : [],
    status: leaf.outcome === 'allowed' ? { code: 1 } : { code: 2, message: String(leaf.reason ?? 'refused') },
  };
}

const blank = (traceId: string, spanId: string, at: number): Span => ({
  traceId,
  spanId,
  name: '',
  kind: 1,
  startTimeUnixNano: nano(at),
  endTimeUnixNano: nano(at),
  attributes: [],
  events: [],
  links: [],
  status: { code: 0 },
});

/** The one trace that all of it belongs to, if there is exactly one. */
function commonTrace(asked: string | undefined, events: readonly OpenedEvent[]): string | undefined {
  if (asked !== undefined) return asked;
  const traces = new Set(events.flatMap(({ leaf }) => traceIdOf(leaf.trace) ?? []));
  return traces.size === 1 ? [...traces][0] : undefined;
}

const onOf = ({ leaf }: OpenedEvent) => (leaf.decided_on ?? {}) as Record<string, unknown>;
const nano = (ms: number): string => `${BigInt(Math.round(ms)) * 1_000_000n}`;
const idOf = (bytes: number, text: string): string => hash('sha256', text, 'hex').slice(0, 2 * bytes);

function attributes(values: Readonly<Record<string, unknown>>): Attribute[] {
  return Object.entries(values).flatMap(([key, value]): Attribute[] => {
    if (typeof value === 'string') return [{ key, value: { stringValue: value } }];
    if (Number.isSafeInteger(value)) return [{ key, value: { intValue: String(value) } }];
    if (!Array.isArray(value)) return [];
    return [{ key, value: { arrayValue: { values: value.map((each) => ({ stringValue: String(each) })) } } }];
  });
}
