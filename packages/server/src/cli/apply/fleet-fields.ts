/** What several parts of a fleet file are made of. */
import { ProtocolError, parseContext, parseHours } from '@bailiwick/protocol';
import { z } from 'zod';

export const name = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/,
    'must be 1 to 63 lowercase letters, digits, dots, hyphens or underscores',
  );
export const text = z.string('must be text');
export const scope = z
  .string('must be a scope')
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be a scope: no spaces or quotes');
export const time = z.iso.datetime({ offset: true, error: 'must be a time such as 2030-01-31T12:00:00Z' });
export const seconds = z.int('must be a whole number of seconds').min(1).max(900, 'must be at most 900 seconds');
export const list = <Item extends z.ZodType>(item: Item) => z.array(item, 'must be a list');

export const count = (least: number, most: number) => {
  const message = `must be a whole number from ${least} to ${most}`;
  return z.int(message).min(least, message).max(most, message);
};

/** Where and when its tokens may be used; hours as people write them. */
export const context = z
  .strictObject(
    {
      ip: list(z.string()).optional(),
      country: list(z.string()).optional(),
      zone: list(z.string()).optional(),
      hours: list(z.string('must be hours such as "mon-fri 08:00-18:00 Europe/Berlin"')).optional(),
    },
    'must say where and when: ip, country, zone, hours',
  )
  .transform(({ hours, ...places }, at) => {
    try {
      return parseContext({ ...places, ...(hours && { hours: hours.map(parseHours) }) });
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      at.addIssue({ code: 'custom', message: `is wrong: ${error.message}` });
      return z.NEVER;
    }
  });
