/**
 * Tells the server of every decision about a good token, later and in batches. Whatever goes wrong here, no request hears of it: what there is no
 * room for is lost, counted, and that is told too.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import type { Signer } from '@bailiwick/protocol';
import { Unavailable } from '../json-client.ts';
import { jitter, type Runtime } from '../runtime.ts';
import { accessReport, type Decided } from './access.ts';
import { type Disk, openDisk } from './disk.ts';
import { type Line, lineOf } from './line.ts';
import { countLosses, type Lost } from './losses.ts';
import { inMemory } from './memory.ts';
import { sender } from './send.ts';
import type { ReportSettings } from './settings.ts';
import { batchFrom } from './store.ts';
import { countStrangers } from './strangers.ts';

export interface Reporter {
  /** A decision about a request with a verified token. Never throws, and waits for nothing. */
  used(decided: Decided): void;
  /** A request without one was refused. */
  stranger(code: string): void;
  /** Writes down what there is, and sends it if it is time to. Never throws. */
  flush(): Promise<void>;
  /** Writes down and sends what there is, for at most a few seconds, and ends. Never throws. */
  close(): Promise<void>;
}

const startsAt = 500;
const mostPauseMs = 60_000;
const adoptEveryMs = 60_000;
const closingMs = 3000;

export function createReporter(options: {
  runtime: Runtime;
  issuer: string;
  resource: string;
  credential: { clientId: string; signer: Signer };
  settings: ReportSettings;
}): Reporter {
  const { runtime, issuer, resource, settings } = options;
  const losses = countLosses(runtime.now);
  const strangers = countStrangers();
  const memory = inMemory(settings.maxMemory, losses);
  // nothing here keeps a process alive that has nothing else to do, unless it waits for the end of this
  const fetch: Runtime['fetch'] = (input, init) => (closed ? runtime.fetch : runtime.follow)(input, init);
  const send = sender({ ...options, runtime: { ...runtime, fetch }, losses });
  const ids = idsFrom(runtime.random(16));
  let disk: Disk | undefined;
  let adoptAt = 0;
  let failures = 0;
  let sendAt = 0;
  let closed = false;
  let added = 0;
  let isWritten = true;

  function sumUp(all: boolean): void {
    const now = runtime.now();
    for (const { since, until, counts } of strangers.take(now, all)) {
      const times = { at: new Date(until).toISOString(), since: new Date(since).toISOString() };
      memory.add(lineOf({ type: 'access.unproven', id: ids(), ...times, counts }));
    }
  }

  /** What waits in memory goes to disk, where there is one; it stays where it is when that fails. */
  const writeOut = singly(async () => {
    if (settings.directory === undefined) return;
    let lines: Line[] = [];
    try {
      const now = runtime.monotonic();
      disk ??= await openDisk(folderOf(settings.directory, issuer, resource), settings.maxBytes, losses);
      if (now >= adoptAt) {
        adoptAt = now + adoptEveryMs;
        await disk.adopt();
      }
      lines = memory.takeAll();
      await disk.keep(lines);
      isWritten = true;
    } catch (error) {
      isWritten = false;
      memory.putBack(lines);
      runtime.report(`Reports of uses can't be written to ${settings.directory}: ${(error as Error).message}`);
    }
  });

  /** Sends what waits, the oldest first, until nothing does or it can't be. */
  const sendOut = singly(async () => {
    if (runtime.monotonic() < sendAt) return;
    try {
      try {
        await sendAll();
      } finally {
        // what can't be sent yet must not keep what is lost from being told
        const lost = losses.take();
        if (lost !== undefined) await tell(lost);
      }
      failures = 0;
    } catch (error) {
      failures += 1;
      sendAt = runtime.monotonic() + pauseAfter(error, failures) * jitter(runtime);
      runtime.report(`Uses can't be reported now, and wait: ${(error as Error).message}`);
    }
  });

  async function sendAll(): Promise<void> {
    const store = disk ?? memory;
    for (let taken = await store.oldest(); taken !== undefined; taken = await store.oldest()) {
      await send(taken.lines);
      await taken.settled();
    }
    if (disk === undefined || isWritten) return;
    // a disk that takes nothing more must not keep from the server what memory holds
    for (let waiting = memory.takeAll(); waiting.length > 0; ) {
      const batch = batchFrom(waiting);
      try {
        await send(batch);
      } catch (error) {
        memory.putBack(waiting);
        throw error;
      }
      waiting = waiting.slice(batch.length);
    }
  }

  async function tell(lost: Lost): Promise<void> {
    try {
      await send([lineOfLost(lost)]);
    } catch (error) {
      losses.putBack(lost);
      throw error;
    }
  }

  function lineOfLost({ since, counts, causes }: Lost): Line {
    const times = { at: new Date(runtime.now()).toISOString(), since: new Date(since).toISOString() };
    return lineOf({
      type: 'access.unreported',
      id: ids(),
      ...times,
      counts: counts as Record<string, number>,
      causes: causes as Record<string, number>,
    });
  }

  async function flush(): Promise<void> {
    sumUp(false);
    await writeOut();
    await sendOut();
  }

  const stop = runtime.every(settings.flushMs, () => void flush());
  return {
    used(decided) {
      if (closed) return;
      const { address, ...rest } = decided;
      const kept = { ...rest, address: settings.address ? address : undefined };
      memory.add(lineOf(accessReport(kept, { id: ids(), at: runtime.now() })));
      if (++added % startsAt === 0) void flush();
    },
    stranger(code) {
      if (!closed) strangers.note(code, runtime.now());
    },
    flush,
    async close() {
      if (closed) return;
      closed = true;
      stop();
      sumUp(true);
      await writeOut();
      sendAt = 0;
      let cancel = () => {};
      const patience = new Promise<void>((resolve) => {
        cancel = runtime.after(closingMs, resolve);
      });
      await Promise.race([sendOut(), patience]);
      cancel();
      const lost = losses.take();
      try {
        if (lost !== undefined) await disk?.keep([lineOfLost(lost)]);
        await disk?.close();
      } catch (error) {
        runtime.report(`Reports of uses could not be put away: ${(error as Error).message}`);
      }
    },
  };
}

/** Milliseconds. An identity provider of before, which takes no reports, is asked rarely: it will be another after an update. */
function pauseAfter(error: unknown, failures: number): number {
  if (error instanceof Unavailable && error.status === 404) return 10 * mostPauseMs;
  return Math.min(mostPauseMs, 1000 * 2 ** Math.min(failures, 6));
}

/** Unlike any other: by chance, and then by number. */
function idsFrom(prefix: string): () => string {
  let made = 0;
  return () => `${prefix}.${(made++).toString(36)}`;
}

/** Guards of one resource may share a folder, and send what another has left; those of others never see it. */
function folderOf(directory: string, issuer: string, resource: string): string {
  return path.join(directory, createHash('sha256').update(`${issuer}\0${resource}`).digest('hex').slice(0, 16));
}

/** Never twice at once: who comes while it runs waits for that run, and for one more that begins after it. */
function singly(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  return () => {
    if (running === undefined) {
      running = work().finally(() => {
        running = undefined;
      });
      return running;
    }
    next ??= running.then(() => {
      next = undefined;
      running = work().finally(() => {
        running = undefined;
      });
      return running;
    });
    return next;
  };
}
