/** How a guard hears that there is something new: by a stream, or by being answered late where no stream comes through. */
import { jitter, type Runtime } from '../runtime.ts';
import { BadFeed } from './messages.ts';
import { backoff, pause } from './pauses.ts';
import { readStream } from './stream.ts';
import type { FeedSession } from './wire.ts';

export interface News {
  /** `poll`: no stream is there, and requests for a lease should wait for news. */
  transport(): 'stream' | 'poll';
  /** Whether something was missed that only asking can bring. It is so once. */
  mustAsk(): boolean;
  /** An answer brought news up to this number: the stream has to bring them, too, and soon. */
  owed(rev: number): void;
  stop(): void;
}

/** What came of a message of the stream. */
export interface Heard {
  outcome: 'applied' | 'known' | 'gap' | 'anew';
  rev: number;
}

/** How long the head of a stream may take (ms). */
const headMs = 3_000;
/** Where a stream was held back by a proxy, the next one is tried after so long (ms). */
const againMs = 300_000;
const mostPauseMs = 5_000;

export function newsOf(options: {
  runtime: Runtime;
  session: FeedSession;
  /** The lease's clock. */
  elapsed: () => number;
  /** The number that the guard is at. */
  at: () => number;
  send: (after: number, signal: AbortSignal) => Promise<Response>;
  hear: (data: string) => Promise<Heard>;
  /** Called when there is something to do: to acknowledge, to ask, to go on by the other way. */
  wake: () => void;
  signal: AbortSignal;
}): News {
  const { runtime, session, elapsed, at, send, hear, wake, signal } = options;
  const third = session.leaseMs / 3;
  const rest = pause(runtime);
  const stopping = new AbortController();
  const stop = () => {
    stopping.abort();
    rest.wake();
  };
  signal.addEventListener('abort', stop, { once: true });
  let transport: 'stream' | 'poll' = 'stream';
  let isAsking = false;
  /** The stream owes this number since then. */
  let debt: { rev: number; since: number } | undefined;
  let heardUpTo = -1;
  let one = new AbortController();
  let isHeldBack = false;
  let failures = 0;

  function turnTo(next: typeof transport): void {
    if (transport === next) return;
    transport = next;
    wake();
  }

  async function heard(data: string): Promise<void> {
    const { outcome, rev } = await hear(data);
    failures = 0;
    if (outcome === 'gap' || outcome === 'anew') isAsking = true;
    else heardUpTo = Math.max(heardUpTo, rev);
    if (debt !== undefined && heardUpTo >= debt.rev) debt = undefined;
    if (outcome !== 'known') wake();
  }

  async function once(): Promise<number> {
    one = new AbortController();
    const limit = AbortSignal.any([one.signal, stopping.signal]);
    const after = at();
    heardUpTo = Math.max(heardUpTo, after);
    const end = await readStream({
      runtime,
      send: (until) => send(after, until),
      headMs,
      silenceMs: 2.5 * session.heartbeatMs + 1000,
      opened: () => turnTo('stream'),
      heard,
      signal: limit,
    });
    if (end.ended === 'silent' || isHeldBack) {
      isHeldBack = false;
      return againMs * jitter(runtime);
    }
    // whether the session is over is found out by asking
    if (end.ended === 'refused' && end.status === 404) isAsking = true;
    failures += 1;
    return backoff(runtime, failures, mostPauseMs);
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      let pauseMs: number;
      try {
        pauseMs = await once();
      } catch (error) {
        if (error instanceof BadFeed) {
          runtime.report(`Revocations can't be followed by a stream: ${error.message}`);
          isAsking = true;
        }
        failures += 1;
        pauseMs = backoff(runtime, failures, mostPauseMs);
      }
      if (stopping.signal.aborted) return;
      debt = undefined;
      transport = 'poll';
      wake();
      await rest.wait(pauseMs);
    }
  }

  void follow().catch(() => {});

  return {
    transport() {
      if (debt !== undefined && elapsed() - debt.since > third) {
        isHeldBack = true;
        debt = undefined;
        transport = 'poll';
        one.abort();
      }
      return transport;
    },
    mustAsk() {
      const must = isAsking;
      isAsking = false;
      return must;
    },
    owed(rev) {
      if (transport === 'stream' && heardUpTo < rev) debt ??= { rev, since: elapsed() };
    },
    stop() {
      signal.removeEventListener('abort', stop);
      stop();
    },
  };
}
