/** One stream of the feed, from its head to its end. */
import { feedMessageBounds } from '@bailiwick/protocol';
import { eventReader } from '../mcp/events.ts';
import type { Runtime } from '../runtime.ts';
import { orAborted } from './pauses.ts';

/**
 * How a stream came to its end. `silent`: nothing of it came through in time, though somebody answers: a proxy that holds back what isn't
 * complete, most likely.
 */
export type StreamEnd = { ended: 'over' | 'silent' } | { ended: 'refused'; status: number };

export interface StreamOptions {
  runtime: Pick<Runtime, 'later'>;
  /** Sends the request. */
  send: (signal: AbortSignal) => Promise<Response>;
  /** How long its head may take, and then the next sign of life (ms). */
  headMs: number;
  silenceMs: number;
  /** Hears that the head is there. */
  opened: () => void;
  /** Hears of each message, one after the other. What it throws ends the stream. */
  heard: (data: string) => Promise<void>;
  signal: AbortSignal;
}

/** Reads until it ends. @throws what `send` and `heard` throw, and Error for what is no stream of events */
export async function readStream(options: StreamOptions): Promise<StreamEnd> {
  const { runtime, send, headMs, silenceMs, opened, heard, signal } = options;
  const patience = new AbortController();
  let isSilent = false;
  let stopTimer = () => {};
  const expect = (ms: number) => {
    stopTimer();
    stopTimer = runtime.later(ms, () => {
      isSilent = true;
      patience.abort();
    });
  };
  let received = false;
  try {
    expect(headMs);
    const limit = AbortSignal.any([signal, patience.signal]);
    const response = await orAborted(send(limit), limit);
    const { status } = response;
    if (status !== 200 || !isEventStream(response)) {
      await response.body?.cancel();
      return { ended: 'refused', status };
    }
    opened();
    expect(silenceMs);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const events = eventReader(feedMessageBounds.length + 1024);
    try {
      for (;;) {
        const { value, done } = await orAborted(reader.read(), limit);
        if (done) return { ended: 'over' };
        received = true;
        expect(silenceMs);
        for (const { data } of events.push(value)) if (data !== undefined) await heard(data);
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  } catch (error) {
    // one that has spoken once has fallen silent for another reason than a proxy's habit
    if (isSilent) return { ended: received ? 'over' : 'silent' };
    if (signal.aborted) return { ended: 'over' };
    throw error;
  } finally {
    stopTimer();
  }
}

const isEventStream = ({ headers }: Response) => /^text\/event-stream\b/i.test(headers.get('content-type') ?? '');
