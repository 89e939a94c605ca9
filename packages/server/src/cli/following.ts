/** The log as it grows, for whoever watches it: each event once, over the ends of streams and of servers. */
import type { Api } from './api.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import type { Event } from './registry.ts';

type Query = Record<string, string | undefined>;

/** How long one waits for a server that isn't there, longer each time (ms), and how often a stream may end without a word. */
const firstPauseMs = 250;
const longestPauseMs = 10_000;
const emptyAtMost = 3;

/**
 * The stream of what is new, gone on with whenever it ends: the token of one stream lives for minutes, and a server is started anew at times.
 * @param items what was told already, newest first: what comes between reading and following is told once
 * @throws CliError when it can't begin, or is refused
 */
export async function followEvents(
  context: Context,
  api: Api,
  query: Query,
  items: readonly Event[],
  say: (event: Event) => void,
): Promise<void> {
  const { io } = context;
  const known = new Set(items.map(({ id }) => id));
  const tell = (event: Event) => {
    if (known.has(event.id)) return;
    say(event);
  };
  const stop = new AbortController();
  for (const end of [io.terminated(), io.unread]) {
    void end?.then(
      () => stop.abort(),
      () => undefined,
    );
  }
  let lastEventId: string | undefined;
  let empty = 0;
  let hasBegun = false;
  let pause = firstPauseMs;
  while (!stop.signal.aborted && empty < emptyAtMost) {
    empty += 1;
    try {
      const response = await api.stream('/events/tail', query, { lastEventId, signal: stop.signal });
      hasBegun = true;
      pause = firstPauseMs;
      if (lastEventId === undefined) {
        // one by one, as they come: should the stream bring them too, they are known
        for (const event of await missed(api, query, known)) {
          tell(event);
          known.add(event.id);
        }
      }
      for await (const { id, data } of messagesOf(response)) {
        empty = 0;
        const event = data === undefined ? undefined : (JSON.parse(data) as Event);
        if (event?.id !== undefined) tell(event);
        if (id !== undefined) lastEventId = id;
      }
    } catch (error) {
      if (stop.signal.aborted) return;
      const isAway = !(error instanceof CliError) || error.reason === 'unreachable';
      if (!hasBegun || !isAway) throw error;
      if (pause === firstPauseMs) io.err('The server is away. This goes on where it was once it is back.\n');
      empty = 0;
      await io.pause(pause, stop.signal);
      pause = Math.min(2 * pause, longestPauseMs);
    }
  }
  if (!stop.signal.aborted) throw new CliError('unreachable', 'The server ends the stream as soon as it has begun.');
}

/** What happened after the last event that is known, oldest first. */
async function missed(api: Api, query: Query, known: ReadonlySet<string>): Promise<Event[]> {
  const found: Event[] = [];
  let cursor: string | undefined;
  do {
    const page = await api.get<{ items: Event[]; next_cursor?: string }>('/events', { ...query, limit: 200, cursor });
    const at = page.items.findIndex(({ id }) => known.has(id));
    found.push(...(at < 0 ? page.items : page.items.slice(0, at)));
    cursor = at < 0 ? page.next_cursor : undefined;
  } while (cursor !== undefined);
  return found.toReversed();
}

/** @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation */
async function* messagesOf(response: Response): AsyncGenerator<{ id?: string | undefined; data?: string | undefined }> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (name: string) =>
        block
          .split('\n')
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2);
      yield { id: field('id'), data: field('event') === undefined ? field('data') : undefined };
    }
  }
}
