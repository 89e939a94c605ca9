import { type LocalTime, wallClock } from '@bailiwick/protocol';

/** The whole minute that a time is in, in milliseconds. */
export const minuteOf = (at: number): number => Math.floor(at / 60_000) * 60_000;

/**
 * The local time at an instant, to the minute. Every instant has exactly one: no hour is missing or in doubt this way round.
 * @param at milliseconds
 * @throws RangeError where the zone or the instant is none
 */
export function localTime(at: number, timeZone: string): LocalTime {
  const time = wallClock(timeZone)?.(at);
  if (time === undefined) throw new RangeError(`the time in ${timeZone} can't be told`);
  return time;
}
