/** Refusals of strangers are counted by minute and kind, never told one by one: anybody could make us write otherwise. */
const minuteMs = 60_000;

export interface Strangers {
  /** @param code what kind of refusal it was; `now` in ms since 1970 */
  note(code: string, now: number): void;
  /** The minutes that are over, or all. */
  take(now: number, all: boolean): Minute[];
}

export interface Minute {
  /** From when, and until when at most, ms since 1970. */
  since: number;
  until: number;
  counts: Record<string, number>;
}

/** More are not kept apart: a clock that jumps about must not fill the memory. */
const mostMinutes = 10;

export function countStrangers(): Strangers {
  const minutes = new Map<number, Record<string, number>>();
  return {
    note(code, now) {
      const started = Math.floor(now / minuteMs);
      const key =
        minutes.has(started) || minutes.size < mostMinutes ? started : (minutes.keys().next().value as number);
      const counts = minutes.get(key) ?? {};
      minutes.set(key, counts);
      counts[code] = (counts[code] ?? 0) + 1;
    },
    take(now, all) {
      const current = Math.floor(now / minuteMs);
      const over = [...minutes].filter(([minute]) => all || minute !== current);
      return over.map(([minute, counts]) => {
        minutes.delete(minute);
        const since = minute * minuteMs;
        return { since, until: Math.min(since + minuteMs, Math.max(now, since)), counts };
      });
    },
  };
}
