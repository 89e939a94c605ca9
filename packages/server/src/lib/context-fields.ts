/** Where and when tokens may be used, as our own APIs write and show it. */
import { contextDimensions, ProtocolError, parseContext, type TokenContext, weekdays } from '@bailiwick/protocol';
import { z } from 'zod';
import { oneOf } from './fields.ts';

const texts = z.array(z.string(), { error: 'must be a list' });

const shape = {
  ip: texts.optional().meta({
    description: 'Addresses and networks (10.0.0.0/8): the presenter’s is in one of them.',
  }),
  country: texts.optional().meta({ description: 'Countries (ISO 3166-1, two capitals) in which that address is.' }),
  zone: texts.optional().meta({
    description:
      'Compute zones: by the networks that the configuration gives them, else by what is vouched for of the instance.',
  }),
  hours: z
    .array(
      z.strictObject(
        {
          tz: z.string({ error: 'must be the name of a time zone, such as Europe/Berlin' }),
          windows: z.array(
            z.strictObject(
              {
                days: z
                  .array(oneOf(weekdays))
                  .optional()
                  .meta({ description: 'On which it begins; every day unless said.' }),
                from: z.string({ error: 'must be a time such as 08:00' }),
                to: z.string({ error: 'must be a time such as 18:00' }).meta({
                  description: 'Until before it, at most 24:00; on the next day where it isn’t later than `from`.',
                }),
              },
              { error: objectOr('must be {days, from, to}') },
            ),
            { error: 'must be a list of {days, from, to}' },
          ),
        },
        { error: objectOr('must be {tz, windows}') },
      ),
      { error: 'must be a list of {tz, windows}' },
    )
    .optional()
    .meta({
      description: 'Hours by the wall clock of a time zone. All of these hold; in each, one of its windows is open.',
    }),
};

function objectOr(message: string) {
  return (issue: { code?: string | undefined }) => (issue.code === 'unrecognized_keys' ? undefined : message);
}

const bounded = Object.fromEntries(
  contextDimensions.map((name) => [name, shape[name].superRefine((value, at) => check(name, value, at))]),
) as typeof shape;

/** Says what is wrong with one member, and where in it. */
function check(name: keyof typeof shape, value: unknown, at: z.RefinementCtx): void {
  if (value === undefined) return;
  try {
    parseContext({ [name]: value });
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    const [, where = '', message = error.message] = /^[a-z]+((?:\[\d+\]|\.[a-z]+)*) (.*)$/.exec(error.message) ?? [];
    const path = [...where.matchAll(/\[(\d+)\]|\.([a-z]+)/g)].map(([, index, member]) => member ?? Number(index));
    at.addIssue({ code: 'custom', message, path });
  }
}

export const writableContext = z.strictObject(bounded).default({}).meta({
  description:
    'Where and when its tokens may be used; what isn’t said isn’t limited. Requests and policies may narrow it. Narrowing it ends the tokens that it has.',
});

export const shownContext = z.strictObject(shape);

/** In its canonical form. */
export const readContext = (written: z.output<typeof writableContext>): TokenContext => parseContext(written);

/** For the open part of the log: what is limited. Addresses may be somebody's, and are sealed with the rest. */
export const limitedBy = (context: unknown): string[] => Object.keys((context ?? {}) as object);
