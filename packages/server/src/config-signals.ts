/** Settings of security signals. */
import { z } from 'zod';
import { about, wholeSeconds } from './config-values.ts';

export const signals = z
  .strictObject({
    signing_alg: z
      .enum(['RS256', 'ES256', 'PS256', 'EdDSA'])
      .default('RS256')
      .meta(
        about({
          description:
            'By which algorithm security event tokens are signed. The CAEP Interoperability Profile asks for RS256; ES256 costs a twentieth of it, where all receivers take that.',
          expects: 'RS256, ES256, PS256 or EdDSA',
          example: 'ES256',
        }),
      ),
    default_subjects: z
      .enum(['ALL', 'NONE'])
      .default('ALL')
      .meta(
        about({
          description:
            'Whom a new stream of signals tells of: everybody in its organization until the receiver removes them, or nobody until it adds them.',
          expects: 'ALL or NONE',
          example: 'NONE',
        }),
      ),
    held: z
      .number()
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .meta(
        about({
          description:
            'How many signals wait for a receiver that is away or has paused its stream. With one more the stream is disabled, all that waits is dropped, and the receiver is told so.',
          expects: 'a whole number from 1 to 1000000',
          example: '10000',
        }),
      ),
    min_verification_seconds: z
      .number()
      .int()
      .min(0)
      .max(86_400)
      .default(30)
      .meta(
        about({
          description: 'How often a receiver may ask for a verification of its stream, at most.',
          expects: wholeSeconds(0, 86_400),
          example: '30',
        }),
      ),
  })
  .prefault({});
