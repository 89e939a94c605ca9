import { isIP } from 'node:net';

/** What `format` may say, and what holds then. Every one of them takes time linear in the text. */
export const formats = {
  date: isDate,
  'date-time': isDateTime,
  time: (text: string) => text.length === 8 && isTime(text),
  email: (text: string) => text.length <= 320 && /^[^\s@]+@[^\s@]+$/.test(text) && !text.startsWith('.'),
  hostname: (text: string) => text.length <= 253 && text.split('.').every(isLabel),
  ipv4: (text: string) => isIP(text) === 4,
  ipv6: (text: string) => isIP(text) === 6 && !text.includes('%'),
  uri: (text: string) => /^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$/.test(text) && URL.canParse(text),
  uuid: (text: string) => /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text),
} as const satisfies Record<string, (text: string) => boolean>;

function isLabel(text: string): boolean {
  return text.length <= 63 && /^[A-Za-z0-9-]+$/.test(text) && !text.startsWith('-') && !text.endsWith('-');
}

/** @see RFC 3339 §5.6 `full-date` */
function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const [year, month, day] = text.split('-').map(Number) as [number, number, number];
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  return days !== undefined && day >= 1 && day <= days;
}

/** @see RFC 3339 §5.6 */
function isDateTime(text: string): boolean {
  if (text.length > 64) return false;
  const [, date, time, zone] = /^(.{10})[Tt](\d{2}:\d{2}:\d{2})(?:\.\d{1,12})?([Zz]|[+-]\d{2}:\d{2})$/.exec(text) ?? [];
  if (date === undefined || time === undefined || zone === undefined) return false;
  const offset = zone.length === 1 || (Number(zone.slice(1, 3)) < 24 && Number(zone.slice(4)) < 60);
  return isDate(date) && isTime(time) && offset;
}

const isTime = (text: string) => /^(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)$/.test(text);
