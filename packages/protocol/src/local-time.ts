export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof weekdays)[number];

/** What a clock on the wall of a time zone shows. */
export interface LocalTime {
  hour: number;
  minute: number;
  /** Since midnight as the clock shows it: on the day of a change some are skipped, some come twice. */
  minutes: number;
  weekday: Weekday;
  /** `2026-11-23` */
  date: string;
}

/** Shows the local time at an instant (milliseconds), to the minute; undefined for what is no instant. */
export type WallClock = (at: number) => LocalTime | undefined;

/** Making a formatter costs fifty times what asking one does. There are some 500 zones: only names that are one are kept. */
const clocks = new Map<string, WallClock>();

/** The clock of a time zone, by its IANA name; undefined for what is none. Offsets (`+02:00`) are none: they know no summer. */
export function wallClock(timeZone: string): WallClock | undefined {
  const known = clocks.get(timeZone);
  if (known !== undefined || !/^[A-Za-z][A-Za-z0-9_+/-]{1,63}$/.test(timeZone)) return known;
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-u-ca-iso8601-nu-latn', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
    });
  } catch {
    return undefined;
  }
  const clock = rememberedMinute((at) => read(format, at));
  if (clocks.size < 2_000) clocks.set(timeZone, clock);
  return clock;
}

/** Zones are whole minutes apart since 1972: within a minute every wall clock stands still. */
function rememberedMinute(shownAt: WallClock): WallClock {
  let minute = Number.NaN;
  let shown: LocalTime | undefined;
  return (at) => {
    if (!Number.isFinite(at) || Math.abs(at) > 8.64e15) return undefined;
    const asked = Math.floor(at / 60_000);
    if (asked !== minute) [minute, shown] = [asked, shownAt(at)];
    return shown;
  };
}

function read(format: Intl.DateTimeFormat, at: number): LocalTime | undefined {
  const shown: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {};
  for (const { type, value } of format.formatToParts(at)) shown[type] = value;
  const [hour, minute] = [Number(shown.hour), Number(shown.minute)];
  const weekday = weekdays.find((day) => day === shown.weekday?.toLowerCase());
  if (weekday === undefined || !Number.isInteger(hour) || !Number.isInteger(minute)) return undefined;
  const date = `${(shown.year ?? '').padStart(4, '0')}-${shown.month}-${shown.day}`;
  return { hour, minute, minutes: 60 * hour + minute, weekday, date };
}
