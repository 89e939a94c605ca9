/** Settings of the feed of revocations. */
import { z } from 'zod';
import { about } from './config-values.ts';

const whole = (min: number, max: number) => `a whole number from ${min} to ${max}`;

export const feed = z
  .strictObject({
    max_entries: z
      .number()
      .int()
      .min(100)
      .max(1_000_000)
      .default(50_000)
      .meta(
        about({
          description:
            'How many revocations a guard is told at most that begins anew: of older ones it asks. Each takes about 60 bytes of its memory.',
          expects: whole(100, 1_000_000),
          example: '50000',
        }),
      ),
    max_sessions: z
      .number()
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .meta(
        about({
          description: 'How many processes of guards may follow the feed of one server at once.',
          expects: whole(1, 1_000_000),
          example: '10000',
        }),
      ),
    max_sessions_per_guard: z
      .number()
      .int()
      .min(1)
      .max(100_000)
      .default(256)
      .meta(
        about({
          description:
            'How many processes of one guard may hold a lease of one server at once. One more is told to come again: whoever is gone makes room when its lease has run out.',
          expects: whole(1, 100_000),
          example: '256',
        }),
      ),
  })
  .prefault({});
