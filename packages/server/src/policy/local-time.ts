/** What a clock on the wall of a time zone shows. */
import { type Weekday, weekdays } from '@bailiwick/protocol';

export interface LocalTime {
  hour: number;
  minute: number;
  /** Since midnight as the clock shows it: on the day of a change some are skipped, some come twice. */
  minutes: number;
  weekday: Weekday;
  /** `2026-11-23` */
  date: string;
}

interface Zone {
  format: Intl.DateTimeFormat;
  minute: number;
  time: LocalTime | undefined;
}

/** As many as there are names: only names of time zones get in. */
const zones = new Map<string, Zone>();

/** The whole minute that a time is in, in milliseconds. */
export const minuteOf = (at: number): number => Math.floor(at / 60_000) * 60_000;

/**
 * The local time at an instant, to the minute. Every instant has exactly one: no hour is missing or in doubt this way round.
 * @param at milliseconds
 * @throws RangeError where the zone or the instant is none
 */
export function localTime(at: number, timeZone: string): LocalTime {
  let zone = zones.get(timeZone);
  if (zone === undefined) {
    zone = { format: formatOf(timeZone), minute: Number.NaN, time: undefined };
    zones.set(timeZone, zone);
  }
  const minute = minuteOf(at);
  if (zone.time === undefined || zone.minute !== minute) {
    zone.time = read(zone.format, minute);
    zone.minute = minute;
  }
  return zone.time;
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-u-ca-iso8601-nu-latn', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
  });
}

function read(format: Intl.DateTimeFormat, minute: number): LocalTime {
  const parts = new Map(format.formatToParts(minute).map(({ type, value }) => [type, value]));
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? '';
  const hour = Number(part('hour'));
  const minutes = Number(part('minute'));
  const weekday = weekdays.find((day) => day === part('weekday').toLowerCase());
  const date = `${part('year').padStart(4, '0')}-${part('month')}-${part('day')}`;
  if (weekday === undefined || !Number.isInteger(hour) || !Number.isInteger(minutes)) {
    throw new RangeError(`the time in ${format.resolvedOptions().timeZone} can't be told`);
  }
  return { hour, minute: minutes, minutes: 60 * hour + minutes, weekday, date };
}
