/** Resources with what may be done on each, as tasks and mandates name them: strict, bounded, and not looked up yet. */
import { z } from 'zod';
import { line, record } from './fields.ts';

const scopeMessage = 'must be scopes with spaces between them';

const wantedResource = record({
  resource: line(2048, 1).meta({ description: 'Id or identifier.' }),
  scope: z
    .string({ error: scopeMessage })
    .max(4096, scopeMessage)
    .regex(/^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/, scopeMessage)
    .optional(),
  operations: z
    .array(line(200, 1), { error: 'must be a list of names of operations' })
    .min(1, 'must name at least one operation')
    .max(100, 'must be at most 100 operations')
    .optional(),
  authorization_details: z
    .array(z.record(z.string(), z.unknown(), { error: 'must be a JSON object' }), {
      error: 'must be a list of details',
    })
    .min(1, 'must have at least one detail')
    .max(50, 'must be at most 50 details')
    .optional(),
});

export type WantedResource = z.output<typeof wantedResource>;

/** A list of them. @param none what to say to whoever names none */
export const wantedResources = (none: string) =>
  z.array(wantedResource, { error: 'must be a list' }).min(1, none).max(20, 'must be at most 20 resources');
