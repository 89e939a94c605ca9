import { eventReader, writeEvent } from './events.ts';
import { idKey, isObject } from './message.ts';

/** What is done to what the server answers, message by message. */
export interface AnswerView {
  /** By the ids of the requests that are answered, which method each called. Undefined where that isn't known: streams that are picked up again. */
  methods: ReadonlyMap<string, string> | undefined;
  /** Which tools of a list the caller gets to see. */
  shown(tools: readonly unknown[]): Promise<unknown[]>;
  /** The server says that its tools changed. */
  changed(): void;
  /** Whether the stream may go on; asked before each event. */
  lasts(): Promise<boolean>;
}

const mostCharacters = 16 * 1024 * 1024;
const list = 'tools/list';

/**
 * What the caller gets of the server's answer: every list of tools in it is cut down to what the caller may call, whether it comes as JSON or as events. What
 * can't be read where a list was asked for is not handed on.
 */
export async function viewOf(response: Response, view: AnswerView): Promise<Response> {
  const type = mediaType(response);
  const { body } = response;
  if (body === null) return response;
  if (type === 'text/event-stream') {
    if (isEncoded(response)) return unreadable(response);
    return rewritten(response, body.pipeThrough(eventView(view)));
  }
  if (view.methods !== undefined && ![...view.methods.values()].includes(list)) return response;
  if (type !== 'application/json' || isEncoded(response)) return unreadable(response);
  const text = await readText(body);
  const value = text === undefined ? undefined : parsed(text);
  return value === undefined
    ? unreadable(response)
    : rewritten(response, JSON.stringify(await seenThrough(value, view)));
}

/** A message, or a batch of them, as the caller sees it. */
export async function seenThrough(value: unknown, view: AnswerView): Promise<unknown> {
  if (Array.isArray(value)) {
    const seen: unknown[] = [];
    for (const each of value) seen.push(await seenThrough(each, view)); // one after another: each list can be much to ask about
    return seen;
  }
  if (!isObject(value)) return value;
  if (value.method === 'notifications/tools/list_changed') view.changed();
  const { result } = value;
  if (!isObject(result) || !Object.hasOwn(result, 'tools')) return value;
  const method = view.methods?.get(idKey(value.id));
  if (method !== undefined && method !== list) return value;
  const tools = Array.isArray(result.tools) ? await view.shown(result.tools) : [];
  // What one caller sees is not for others: whoever keeps it keeps it for this one.
  const kept = Object.hasOwn(result, 'cacheScope') ? { cacheScope: 'private' } : {};
  return { ...value, result: { ...result, tools, ...kept } };
}

function eventView(view: AnswerView): TransformStream<Uint8Array, Uint8Array> {
  const reader = eventReader(mostCharacters);
  const encoder = new TextEncoder();
  return new TransformStream({
    async transform(bytes, controller) {
      for (const event of reader.push(bytes)) {
        if (!(await view.lasts())) return controller.terminate();
        const { data } = event;
        const value = data === undefined || data === '' ? undefined : parsed(data);
        const seen = value === undefined ? event : { ...event, data: JSON.stringify(await seenThrough(value, view)) };
        controller.enqueue(encoder.encode(writeEvent(seen)));
      }
    },
  });
}

/** The tools of the list with this id in an answer, and where it goes on; undefined if it isn't there. Anything else in the answer is left aside. */
export async function listIn(
  response: Response,
  id: string,
): Promise<{ tools: unknown[]; nextCursor: string | undefined } | undefined> {
  const { body } = response;
  if (!response.ok || body === null || isEncoded(response)) return undefined;
  const type = mediaType(response);
  if (type === 'application/json') {
    const text = await readText(body);
    return text === undefined ? undefined : pageIn(parsed(text), id);
  }
  if (type !== 'text/event-stream') return undefined;
  const reader = eventReader(mostCharacters);
  for await (const bytes of body) {
    for (const { data } of reader.push(bytes)) {
      const page = data === undefined ? undefined : pageIn(parsed(data), id);
      if (page !== undefined) return page; // leaving the loop ends the stream
    }
  }
  return undefined;
}

function pageIn(value: unknown, id: string): { tools: unknown[]; nextCursor: string | undefined } | undefined {
  if (!isObject(value) || value.id !== id || !isObject(value.result)) return undefined;
  const { tools, nextCursor } = value.result;
  if (!Array.isArray(tools)) return undefined;
  return { tools, nextCursor: typeof nextCursor === 'string' ? nextCursor : undefined };
}

async function readText(body: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let text = '';
  try {
    for await (const bytes of body) {
      text += decoder.decode(bytes, { stream: true });
      if (text.length > mostCharacters) return undefined;
    }
    return text + decoder.decode();
  } catch {
    return undefined;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function mediaType(response: Response): string {
  return (response.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
}

function isEncoded(response: Response): boolean {
  const encoding = response.headers.get('content-encoding')?.trim().toLowerCase() ?? '';
  return encoding !== '' && encoding !== 'identity';
}

function rewritten(response: Response, body: string | ReadableStream<Uint8Array>): Response {
  const headers = new Headers(response.headers);
  headers.delete('content-length');
  headers.delete('etag');
  return new Response(body, { status: response.status, headers });
}

/** An answer that may hold a list and can't be looked into. The server's refusal stays one, without its words. */
function unreadable(response: Response): Response {
  response.body?.cancel().catch(() => {});
  return new Response(null, { status: response.status >= 400 ? response.status : 502 });
}
