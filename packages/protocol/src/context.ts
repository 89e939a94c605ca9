/** Where and when a token may be used, beside by which key: its `ctx` claim. What isn't said isn't limited. */
export interface TokenContext {
  /** Addresses and networks: the presenter's is in one of them. */
  ip?: readonly string[];
  /** ISO 3166-1 alpha-2, in capitals. */
  country?: readonly string[];
  /** Compute zones, by the names that the operator gave them. */
  zone?: readonly string[];
  /** All of these hold: each came from somebody who may only narrow. */
  hours?: readonly Schedule[];
}

/** Hours of a week in one time zone; one of its windows is open. */
export interface Schedule {
  /** IANA name: `Europe/Berlin`. */
  tz: string;
  windows: readonly TimeWindow[];
}

/** Open from `from` until before `to` (`HH:MM`, local); over midnight where `to` isn't later: it belongs to the day on which it begins. */
export interface TimeWindow {
  /** The days on which it begins; every day unless said. */
  days?: readonly Weekday[];
  from: string;
  to: string;
}

/** Whether it is the IANA name of a time zone that this runtime knows. Offsets (`+02:00`) are none: they know no summer. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{1,63}$/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof weekdays)[number];
