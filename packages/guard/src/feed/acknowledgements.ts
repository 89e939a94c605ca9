/** How a guard says what it has applied: by a request each time, and where it has to say it again and again, line by line over one that stays open. */
import { jitter, type Runtime } from '../runtime.ts';
import type { FeedSession, FeedWire } from './wire.ts';

export interface Acknowledgements {
  /** Resolves once it was said. Over a line that means: sent. @throws what FeedWire.applied does */
  say(applied: number, signal: AbortSignal): Promise<void>;
  stop(): void;
}

/** Who says something again within this (ms) opens a line, and keeps it for so long. */
const soonMs = 1_000;
const lineMs = 20_000;
/** How long it may take until somebody hears (ms). After one that was cut, and one that nobody has heard, so long none is tried. */
const openMs = 2_000;
const againMs = { cut: 10_000, unheard: 300_000 };
/** So many lines may be on their way: more, and nobody reads them. */
const unreadAtMost = 64;

/** A request whose body goes on. */
interface Line {
  /** Whether the identity provider has said that it hears. */
  isHeard: boolean;
  write(text: string): void;
  /** Nothing more will be said over it. */
  end(): void;
  /** The same, and what was said last may not arrive. */
  drop(): void;
}

/**
 * @param options.lost called when a line ended by itself: what was said last may not have been heard. Until it is said anew, the next request for a
 * lease says it, too
 */
export function acknowledgements(options: {
  runtime: Pick<Runtime, 'monotonic' | 'later' | 'random'>;
  session: FeedSession;
  wire: Pick<FeedWire, 'applied' | 'lines' | 'told'>;
  nextCount: () => number;
  lost: () => void;
}): Acknowledgements {
  const { runtime, session, wire, nextCount, lost } = options;
  let saidAt = Number.NEGATIVE_INFINITY;
  let notBefore = Number.NEGATIVE_INFINITY;
  let line: Line | undefined;
  const text = (applied: number) => `${wire.told({ session, count: nextCount(), applied })}\n`;

  function open(first: string): Line {
    const ending = new AbortController();
    let lines: ReadableStreamDefaultController<string>;
    const body = new ReadableStream<string>(
      {
        start(controller) {
          lines = controller;
        },
      },
      { highWaterMark: unreadAtMost },
    );
    let stopTimer = runtime.later(openMs, () => own.drop());
    let isOver = false;
    const over = () => {
      if (isOver) return false;
      isOver = true;
      stopTimer();
      if (line === own) line = undefined;
      return true;
    };
    const own: Line = {
      isHeard: false,
      write(next) {
        if ((lines.desiredSize ?? 0) <= 0) own.drop();
        else lines.enqueue(next);
      },
      end() {
        if (over()) lines.close();
      },
      drop() {
        if (!over()) return;
        ending.abort();
        lines.error(new Error('nobody hears'));
        notBefore = runtime.monotonic() + againMs[own.isHeard ? 'cut' : 'unheard'] * jitter(runtime);
        if (own.isHeard) lost();
      },
    };

    async function follow(): Promise<void> {
      const answer = await wire.lines(session, body, ending.signal);
      if (answer.status !== 200 || isOver) {
        await answer.body?.cancel();
        return;
      }
      own.isHeard = true;
      stopTimer();
      stopTimer = runtime.later(lineMs, () => own.end());
      const reader = answer.body?.getReader();
      while (reader !== undefined && !(await reader.read()).done);
    }

    own.write(first);
    follow()
      .catch(() => {})
      .finally(() => own.drop());
    return own;
  }

  return {
    async say(applied, signal) {
      const now = runtime.monotonic();
      const isSoon = now - saidAt < soonMs;
      saidAt = now;
      if (line?.isHeard === true) {
        line.write(text(applied));
        return;
      }
      // the first is said twice: a proxy may keep to itself what isn't complete
      if (isSoon && line === undefined && now >= notBefore) line = open(text(applied));
      await wire.applied({ session, count: nextCount(), applied, signal });
    },
    stop() {
      line?.end();
    },
  };
}
