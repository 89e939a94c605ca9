/** How a row of the vocabulary is written, and the two that most of them are like. */
import type { z } from 'zod';
import type { IdKind } from '../lib/ids.ts';
import { type PersonalField, personalFields } from './event.ts';
import { changed, type Member, scope, text } from './vocabulary-members.ts';

export interface Row {
  outcomes?: readonly ('allowed' | 'refused')[];
  /** `name` is always there, `name?` sometimes. `reason?` and `trace?` may be anywhere. */
  has: readonly (Member | `${Member}?`)[];
  /** Of which kind the target is. */
  target?: readonly IdKind[];
  on?: z.ZodRawShape;
  personal?: readonly PersonalField[];
}

export const both = ['allowed', 'refused'] as const;
export const refused = ['refused'] as const;
export const everything = personalFields;

/** A change through the admin API; what the server itself changes has no agent. */
export const change = (
  target: readonly IdKind[] | undefined,
  shape: z.ZodRawShape = {},
  on: z.ZodRawShape = {},
): Row => ({
  has: ['agent?', 'instance?', 'resource?', 'target', 'jti?'],
  ...(target && { target }),
  on: { scope: scope().optional(), changed: changed(undefined, shape).optional(), ...on },
  personal: ['address', 'details', 'owner'],
});

export const ownRefusal: Row = {
  outcomes: refused,
  has: ['agent', 'resource', 'target?', 'jti', 'reason'],
  on: {
    scope: scope(),
    operation: text.meta({ description: 'Which operation of the API was called.' }),
    problem: text.meta({ description: 'The kind of problem that was answered.' }),
  },
  personal: ['address', 'owner'],
};
