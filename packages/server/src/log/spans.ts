/**
 * A story as OpenTelemetry spans (OTLP/JSON): what it is about is the root, tokens are its children (or of the token that they came of), uses are theirs, and
 * what else happened are events on them. What was told together is one span with a count. Ids come from the W3C trace context that requests came with, where there is one; else from the ids of events, so that the same story
 * always gives the same spans.
 * @see https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
import { hash } from 'node:crypto';
import { traceIdOf } from './event-values.ts';
import { happenedAt, type Step } from './steps.ts';
import type { Story } from './story.ts';
import type { NameOf } from './telling.ts';
import { toldStep } from './telling-steps.ts';

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
  const { steps, of } = story;
  const spans = steps.length === 0 ? [] : spansIn(story, nameOf);
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

function spansIn({ of, steps, ends: endings, more }: Story, nameOf: NameOf): Span[] {
  const issues = steps.filter(({ type }) => type === 'token.issued');
  const uses = steps.filter(
    ({ type, event }) => type === 'access.used' || (event === undefined && type !== 'token.issued'),
  );
  const others = steps.filter((step) => !issues.includes(step) && !uses.includes(step));
  const opened = others.find(({ event }) => event?.leaf.type === 'task.opened' && event.leaf.target === of.id);
  const middle = [...issues, ...uses, ...(opened ? [opened] : [])];
  const traceId = commonTrace(of.kind === 'trace' ? of.id : undefined, middle) ?? idOf(16, `${of.kind} ${of.id}`);
  const told = middle.length > 0 ? middle : steps;

  const root: Span = {
    ...blank(traceId, idOf(8, `root ${of.kind} ${of.id}`), Math.min(...told.map(({ at }) => at))),
    name: of.kind === 'trace' ? 'trace' : `${of.kind} ${nameOf(of.id)}`,
    attributes: attributes({
      [`bailiwick.${of.kind}`]: of.id,
      ...(opened && { 'bailiwick.workflow': onOf(opened).workflow }),
      ...(more && { 'bailiwick.more': 'there is more than is told here' }),
    }),
  };
  const tokens = new Map<string, Span>();
  const ofTokens = issues.map((step) => {
    const { jti, resource } = step.event?.leaf ?? {};
    const { transaction, subject_token } = onOf(step);
    const parent = tokens.get(subject_token as string) ?? root;
    const kind = transaction === undefined ? 'token' : 'transaction token';
    const span = spanOf(step, traceId, parent.spanId, `${kind} ${String(resource ?? '')}`);
    if (step.count > 1 || typeof jti !== 'string') return span;
    span.endTimeUnixNano = nano(Math.min(endings.get(jti) ?? Number.POSITIVE_INFINITY, Number(onOf(step).expires_at)));
    tokens.set(jti, span);
    return span;
  });
  const used = uses.map((step) => {
    const parent = tokens.get(step.event?.leaf.jti as string) ?? root;
    return spanOf(step, traceId, parent.spanId, nameOfUse(step), 2);
  });
  for (const step of others) {
    const { jti, target } = step.event?.leaf ?? {};
    const on = tokens.get(jti as string) ?? tokens.get(target as string) ?? root;
    on.events.push({
      name: String(step.type),
      timeUnixNano: nano(step.at),
      attributes: attributes({
        'bailiwick.event': step.event?.id,
        'bailiwick.says': toldStep(step, nameOf, of.id),
        ...many(step),
      }),
    });
  }
  const all = [...ofTokens, ...used];
  const last = all.reduce(
    (end, span) => (BigInt(span.endTimeUnixNano) > end ? BigInt(span.endTimeUnixNano) : end),
    BigInt(nano(Math.max(...told.map(({ until }) => until)))),
  );
  const end = of.kind === 'task' ? endOf(of.id, others) : undefined;
  root.endTimeUnixNano = end === undefined ? String(last) : nano(end);
  return [root, ...all];
}

function nameOfUse(step: Step): string {
  const { method, path } = onOf(step);
  const operations = [...step.operations.keys()];
  if (operations.length > 0) return operations.length > 4 ? `${operations.length} operations` : operations.join(', ');
  return step.event ? [method, path].filter(Boolean).join(' ') || 'use' : String(step.type ?? 'events');
}

/** What a step of several says beside that of one. */
const many = ({ count, refused, atLeast }: Step) =>
  count === 1
    ? {}
    : { 'bailiwick.count': count, 'bailiwick.refused': refused, ...(atLeast && { 'bailiwick.at_least': 'true' }) };

/** When a task was ended before its time (ms). */
function endOf(task: string, steps: readonly Step[]): number | undefined {
  const end = steps.find(
    ({ event }) => event?.leaf.type === 'task.ended' && event.leaf.outcome === 'allowed' && event.leaf.target === task,
  );
  return end?.event && happenedAt(end.event);
}

function spanOf(step: Step, traceId: string, parentSpanId: string, name: string, kind = 1): Span {
  const { event, type, at, until, count, refused } = step;
  const leaf = event?.leaf ?? {};
  const id = event?.id ?? `${type} ${at} ${parentSpanId}`;
  const on = onOf(step);
  const { txn = on.txn, requested_by } = (on.transaction ?? {}) as Record<string, unknown>;
  const [, linked, span] = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-/.exec(String(leaf.trace)) ?? [];
  return {
    ...blank(traceId, idOf(8, id), at),
    endTimeUnixNano: nano(until),
    parentSpanId,
    name,
    kind,
    attributes: attributes({
      'bailiwick.event': event?.id,
      'bailiwick.agent': leaf.agent,
      'bailiwick.instance': leaf.instance,
      'bailiwick.resource': leaf.resource,
      'bailiwick.jti': leaf.jti,
      'bailiwick.task': on.task,
      'bailiwick.txn': txn,
      'bailiwick.requested_by': requested_by,
      'bailiwick.policy': on.policy,
      'bailiwick.scope': on.scope,
      'bailiwick.operation': on.operation,
      'http.request.method': on.method,
      'http.route': on.path,
      'http.response.status_code': on.status,
      ...many(step),
    }),
    links: linked && span ? [{ traceId: linked, spanId: span }] : [],
    status: refused < count ? { code: 1 } : { code: 2, message: String(leaf.reason ?? 'refused') },
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
function commonTrace(asked: string | undefined, steps: readonly Step[]): string | undefined {
  if (asked !== undefined) return asked;
  const traces = new Set(steps.flatMap(({ event }) => traceIdOf(event?.leaf.trace) ?? []));
  return traces.size === 1 ? [...traces][0] : undefined;
}

const onOf = ({ event }: Step) => (event?.leaf.decided_on ?? {}) as Record<string, unknown>;
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
