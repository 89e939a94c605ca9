import { isJsonObject } from './encoding.ts';
import { ProtocolError } from './errors.ts';
import { type Weekday, wallClock, weekdays } from './local-time.ts';

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

/** How many windows a schedule may have: one for each half of a day. */
export const mostWindows = 14;

const day = 24 * 60;
const week = 7 * day;

/** Some of the minutes of a week, local time, as pieces `[start, end)` in order that don't touch. */
type Minutes = readonly (readonly [number, number])[];

/** Whether it is the IANA name of a time zone that this runtime knows. Offsets (`+02:00`) are none: they know no summer. */
export function isTimeZone(name: string): boolean {
  return wallClock(name) !== undefined;
}

/**
 * Whether a schedule is open at an instant (milliseconds), by what a clock on the wall shows there: an hour that daylight saving
 * leaves out is never open, one that comes twice is open twice. What can't be told is closed.
 */
export function isOpen(schedule: Schedule, now: number): boolean {
  const shown = wallClock(schedule.tz)?.(now);
  if (shown === undefined) return false;
  const minute = weekdays.indexOf(shown.weekday) * day + shown.minutes;
  let open = known.get(schedule);
  if (open === undefined) {
    open = openIn(schedule);
    known.set(schedule, open);
  }
  return open.some(([start, end]) => start <= minute && minute < end);
}

/** The schedule of a token that is shown again and again. */
const known = new WeakMap<Schedule, Minutes>();

/**
 * Reads one schedule strictly, in its canonical form: days in the order of the week, none where it is all of them.
 * @param where how messages call it
 * @throws ProtocolError `malformed`
 */
export function parseSchedule(value: unknown, where: string): Schedule {
  const { tz, windows } = objectOf(value, ['tz', 'windows'], where);
  if (typeof tz !== 'string' || !isTimeZone(tz)) {
    throw malformed(`${where}.tz must be the name of a time zone, such as Europe/Berlin`);
  }
  if (!Array.isArray(windows) || windows.length === 0 || windows.length > mostWindows) {
    throw malformed(`${where}.windows must be a list of 1 to ${mostWindows}`);
  }
  return { tz, windows: inOrder(windows.map((each, i) => parseWindow(each, `${where}.windows[${i}]`))) };
}

function parseWindow(value: unknown, where: string): TimeWindow {
  const { days, from, to } = objectOf(value, ['days', 'from', 'to'], where);
  if (typeof from !== 'string' || !isTime(from)) throw malformed(`${where}.from must be a time such as 08:00`);
  if (typeof to !== 'string' || !(isTime(to) || to === '24:00')) {
    throw malformed(`${where}.to must be a time such as 18:00, at most 24:00`);
  }
  if (days === undefined) return { from, to };
  if (!Array.isArray(days) || days.length === 0 || !days.every(isWeekday) || new Set(days).size !== days.length) {
    throw malformed(`${where}.days must be a list of ${weekdays.join(', ')}, each at most once`);
  }
  return onDays(days, from, to);
}

/**
 * Reads a schedule as people write it: `mon-fri 08:00-18:00 Europe/Berlin`. Windows are separated by commas; each has days (one,
 * or a range that may pass Sunday: `fri-mon`; none: every day) and hours; the time zone stands at the end.
 * @throws ProtocolError `malformed` with a sentence that says what to write
 */
export function parseHours(text: string): Schedule {
  const words = text.trim().split(/\s+/);
  const tz = words.pop() ?? '';
  if (words.length === 0 || !isTimeZone(tz)) {
    throw malformed('hours must end with a time zone, as in: mon-fri 08:00-18:00 Europe/Berlin');
  }
  const windows = words
    .join(' ')
    .split(',')
    .map((part) => windowOf(part.trim()));
  return parseSchedule({ tz, windows }, 'hours');
}

function windowOf(text: string): TimeWindow {
  const [, names, from, to] =
    /^(?:([a-z]{3}(?:-[a-z]{3})?(?: [a-z]{3}(?:-[a-z]{3})?)*) )?(\d\d:\d\d)-(\d\d:\d\d)$/i.exec(text) ?? [];
  if (from === undefined || to === undefined) {
    throw malformed('hours are written like: mon-fri 08:00-18:00, sat 09:00-12:00 Europe/Berlin');
  }
  if (names === undefined) return { from, to };
  return { days: names.toLowerCase().split(' ').flatMap(daysOf), from, to };
}

/** `mon`, or `fri-mon` with all between. */
function daysOf(range: string): Weekday[] {
  const [first = '', last = first] = range.split('-');
  if (!isWeekday(first) || !isWeekday(last))
    throw malformed(`days are ${weekdays.join(', ')}, or ranges such as mon-fri`);
  const start = weekdays.indexOf(first);
  const count = (weekdays.indexOf(last) - start + 7) % 7;
  return Array.from({ length: count + 1 }, (_, i) => weekdays[(start + i) % 7] as Weekday);
}

/** Writes a schedule as {@link parseHours} reads it. */
export function formatHours({ tz, windows }: Schedule): string {
  const written = windows.map(({ days, from, to }) => `${days === undefined ? '' : `${rangesOf(days)} `}${from}-${to}`);
  return `${written.join(', ')} ${tz}`;
}

/** `mon-fri`: three days or more that follow each other are a range. */
function rangesOf(days: readonly Weekday[]): string {
  const runs: Weekday[][] = [];
  for (const day of days) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run && last && weekdays.indexOf(day) === weekdays.indexOf(last) + 1) run.push(day);
    else runs.push([day]);
  }
  return runs.map((run) => (run.length > 2 ? `${run[0]}-${run.at(-1)}` : run.join(' '))).join(' ');
}

/** Several schedules that all hold, each once and in a fixed order. */
export function allOf(schedules: readonly Schedule[]): Schedule[] {
  const each = new Map(schedules.map((schedule) => [JSON.stringify(schedule), schedule] as const));
  return [...each.keys()].sort().map((key) => each.get(key) as Schedule);
}

/** Whether schedules that all hold can't be open together. Told within a time zone; what differs by zone may well be. */
export function neverOpen(schedules: readonly Schedule[]): boolean {
  return [...new Set(schedules.map(({ tz }) => tz))].some((tz) => openTogether(schedules, tz).length === 0);
}

/** Whether `wider` is open whenever all of `narrower` are, as far as one time zone tells. */
export function areHoursWithin(narrower: readonly Schedule[], wider: Schedule): boolean {
  if (!narrower.some(({ tz }) => tz === wider.tz)) return false;
  const open = openIn(wider);
  return openTogether(narrower, wider.tz).every(([start, end]) =>
    open.some(([first, last]) => first <= start && end <= last),
  );
}

/** The minutes of a week at which all schedules of one zone are open. */
function openTogether(schedules: readonly Schedule[], tz: string): Minutes {
  const [first, ...others] = schedules.filter((schedule) => schedule.tz === tz).map(openIn);
  return others.reduce(common, first ?? []);
}

function common(a: Minutes, b: Minutes): Minutes {
  return a
    .flatMap(([start, end]) => b.map(([first, last]) => [Math.max(start, first), Math.min(end, last)] as const))
    .filter(([start, end]) => start < end);
}

/** The minutes of a week at which a schedule is open. */
function openIn({ windows }: Schedule): Minutes {
  const pieces: [number, number][] = [];
  for (const [start, end] of windows.flatMap(minutesOf).sort((a, b) => a[0] - b[0])) {
    const last = pieces.at(-1);
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else pieces.push([start, end]);
  }
  return pieces;
}

/** A window as minutes of the week; what passes the end of Sunday goes on at the beginning of Monday. */
function minutesOf({ days = weekdays, from, to }: TimeWindow): (readonly [number, number])[] {
  const length = ((minuteOf(to) - minuteOf(from) + day - 1) % day) + 1;
  return days.flatMap((name) => {
    const start = weekdays.indexOf(name) * day + minuteOf(from);
    const end = start + length;
    return end <= week ? [[start, end] as const] : [[start, week] as const, [0, end - week] as const];
  });
}

const minuteOf = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

function onDays(days: readonly Weekday[], from: string, to: string): TimeWindow {
  return days.length === weekdays.length
    ? { from, to }
    : { days: weekdays.filter((each) => days.includes(each)), from, to };
}

const inOrder = (windows: TimeWindow[]) =>
  [...new Map(windows.map((each) => [JSON.stringify(each), each])).values()].sort((a, b) =>
    JSON.stringify(a) < JSON.stringify(b) ? -1 : 1,
  );

const isTime = (text: string) => /^([01]\d|2[0-3]):[0-5]\d$/.test(text);
const isWeekday = (value: unknown): value is Weekday => weekdays.includes(value as Weekday);

function objectOf(value: unknown, members: readonly string[], where: string): Record<string, unknown> {
  if (!isJsonObject(value)) throw malformed(`${where} must be an object`);
  const unknown = Object.keys(value).find((name) => !members.includes(name));
  if (unknown !== undefined) throw malformed(`${where} has a member that isn't ${members.join(', ')}`);
  return value;
}

const malformed = (message: string) => new ProtocolError('malformed', message);
