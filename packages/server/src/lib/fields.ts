/** The kinds of field that our own APIs know. Each says what would be right; sizes are bounded everywhere. */
import { z } from 'zod';
import { type IdKind, idPrefixes } from './ids.ts';

const idPattern = (kind: IdKind) => new RegExp(`^${idPrefixes[kind]}_[0-9a-hjkmnp-tv-z]{26}$`);

/** An id of this kind. */
export const idOf = (kind: IdKind) =>
  z
    .string({ error: `must be the id of ${article(kind)}, such as ${idPrefixes[kind]}_01jd…` })
    .regex(idPattern(kind), `must be the id of ${article(kind)}, such as ${idPrefixes[kind]}_01jd…`);

const article = (kind: IdKind) => (/^[aeio]/.test(kind) ? `an ${kind}` : `a ${kind}`);

const slugMessage =
  'must be 1 to 63 lowercase letters, digits, dots, hyphens or underscores, with a letter or digit at both ends';

/** A name that stands in URIs and is never used again. */
export const slug = z.string({ error: slugMessage }).regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, slugMessage);

const taskMessage =
  'must be 1 to 100 lowercase letters, digits, dots, hyphens or underscores, with a letter or digit at both ends';

/** What workflows and steps are called: it travels in tokens, so it says nothing about people. */
export const taskName = z.string({ error: taskMessage }).regex(/^[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?$/, taskMessage);

/** A line of text for people: no line breaks or other control characters. */
export const line = (most: number, least = 0) => {
  const message = `must be ${least > 0 ? `${least} to` : 'at most'} ${most} characters of text on one line`;
  return z
    .string({ error: message })
    .max(most, message)
    .min(least, message)
    .regex(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/, message);
};

/** Text for people that may have several lines. */
export const text = (most: number) => {
  const message = `must be at most ${most} characters of text`;
  return z
    .string({ error: message })
    .max(most, message)
    .regex(/^(?:[^\u0000-\u001f\u007f-\u009f]|[\n\r\t])*$/, message);
};

/** An instant. */
export const time = z.iso.datetime({
  offset: true,
  error: 'must be a time with its offset, such as 2030-01-31T12:00:00Z (RFC 3339)',
});

/** An instant as it is shown. */
export const shownTime = z.iso.datetime();

const scopeMessage = 'must be a scope: 1 to 128 printable ASCII characters without spaces, quotes or backslashes';

/** One scope value. @see RFC 6749 §3.3 */
export const scopeName = z
  .string({ error: scopeMessage })
  .max(128, scopeMessage)
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, scopeMessage);

/** Values that stand once each. */
export const setOf = <Item extends z.ZodType>(item: Item, most: number, what: string) =>
  z
    .array(item, { error: `must be a list of ${what}` })
    .max(most, `must be at most ${most} ${what}`)
    .refine((items) => new Set(items.map((one) => JSON.stringify(one))).size === items.length, {
      error: `must name each of its ${what} once`,
    });

export const flag = z.boolean({ error: 'must be true or false' });

export const wholeNumber = (least: number, most: number) => {
  const message = `must be a whole number from ${least} to ${most}`;
  return z.int({ error: message }).min(least, message).max(most, message);
};

/** One of a few words. */
export const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, { error: `must be one of ${words.join(', ')}` });

/** A JSON object with these members and no others. */
export const record = <Shape extends z.core.$ZodShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : 'must be a JSON object'),
  });

/** A number in a query string. */
export const countInQuery = (least: number, most: number) => {
  const message = `must be a whole number from ${least} to ${most}`;
  return z
    .string({ error: message })
    .regex(/^\d{1,6}$/, message)
    .transform(Number)
    .refine((count) => count >= least && count <= most, message);
};

const emailMessage = 'must be an e-mail address';

/** An address as it is compared: its case is kept, since mailboxes may tell cases apart. */
export const email = z
  .string({ error: emailMessage })
  .max(254, emailMessage)
  .regex(/^[^\s@\u0000-\u001f\u007f-\u009f]+@[^\s@\u0000-\u001f\u007f-\u009f]+$/, emailMessage);
