import { Unavailable } from './json-client.ts';
import { jitter, type Runtime } from './runtime.ts';

/** Something learned from the identity provider that is kept up to date, and outlives its being away for a bounded time. */
export interface Refreshed<Value> {
  /** The last known value while it may be used. Starts a refresh in the background when one is due. Cheap: for the hot path. */
  peek(): Value | undefined;
  /**
   * The value, loaded first if there is none or only one that is too old.
   * @throws Unavailable when there is nothing to go by
   */
  get(): Promise<Value>;
  /**
   * Loads anew, unless that was tried a moment ago; says whether the latest try succeeded. One load at a time, however many ask.
   * @param floorMs what a moment is, for who knows that not just anybody made them ask
   */
  renew(floorMs?: number): Promise<boolean>;
}

/**
 * Keeps a value fresh.
 * @param options.freshMs after this (give or take a fifth) it is refreshed behind the requests
 * @param options.floorMs between two tries; before the first success a second is enough
 * @param options.staleMs a value older than this is not used any more: fail closed
 */
export function refreshed<Value>(options: {
  runtime: Pick<Runtime, 'now' | 'random' | 'report'>;
  load: (previous: Value | undefined) => Promise<Value>;
  freshMs: number;
  floorMs: number;
  staleMs: number;
}): Refreshed<Value> {
  const { runtime, load, freshMs, floorMs, staleMs } = options;
  let value: Value | undefined;
  let loadedAt = Number.NEGATIVE_INFINITY;
  let dueAt = Number.NEGATIVE_INFINITY;
  let triedAt = Number.NEGATIVE_INFINITY;
  let succeeded = false;
  let failure = 'not loaded yet';
  let loading: Promise<boolean> | undefined;

  async function attempt(): Promise<boolean> {
    const startedAt = runtime.now();
    triedAt = startedAt;
    try {
      value = await load(value);
      // Counted from when we asked: the answer may be as old as that.
      loadedAt = startedAt;
      dueAt = startedAt + freshMs * jitter(runtime);
      succeeded = true;
    } catch (error) {
      succeeded = false;
      failure = error instanceof Error ? error.message : String(error);
      runtime.report(failure);
    }
    return succeeded;
  }

  function renew(ownFloorMs: number = floorMs): Promise<boolean> {
    if (loading !== undefined) return loading;
    const sinceTry = runtime.now() - triedAt;
    const floor = value === undefined ? Math.min(ownFloorMs, 1000) : ownFloorMs;
    if (sinceTry >= 0 && sinceTry < floor) return Promise.resolve(succeeded); // a clock set back is no reason to wait
    loading = attempt().finally(() => {
      loading = undefined;
    });
    return loading;
  }

  function peek(): Value | undefined {
    const now = runtime.now();
    if (now >= dueAt || now < loadedAt) void renew();
    return now - loadedAt < staleMs ? value : undefined;
  }

  return {
    peek,
    async get() {
      const known = peek();
      if (known !== undefined) return known;
      await renew();
      const loaded = peek();
      if (loaded === undefined) throw new Unavailable(failure);
      return loaded;
    },
    renew,
  };
}
