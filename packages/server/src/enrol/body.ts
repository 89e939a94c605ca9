/** What may be asked for here, in strict schemas: what nobody could have meant is refused by its name. */
import { z } from 'zod';
import { OAuthError } from '../lib/oauth-error.ts';
import { fieldErrors } from '../web/invalid.ts';

const text = (most: number, what: string) =>
  z
    .string({ error: what })
    .min(1, what)
    .max(most, what)
    .regex(/^[\x20-\x7e]+$/, what);

const uri = text(512, 'must be a URI of at most 512 characters');
const scope = text(4096, 'must be scopes with spaces between them');

/** The longest life of anything here, in seconds. */
export const longestLifeSeconds = 86_400;
const lifetime = `must be a whole number of seconds from 10 to ${longestLifeSeconds}`;

/** What every answer can be made of. */
const wanted = {
  csr: text(16_384, 'must be a certificate request in PEM')
    .or(z.string().regex(/^-----BEGIN[\s\S]{1,16000}-----\s*$/))
    .optional(),
  lifetime_seconds: z.int({ error: lifetime }).min(10, lifetime).max(longestLifeSeconds, lifetime).optional(),
  jwt_svid_audiences: z
    .array(uri, { error: 'must be a list of audiences' })
    .max(8, 'must be at most 8 audiences')
    .default([]),
  x509_svid: z.boolean({ error: 'must be true or false' }).default(true),
  token: z
    .strictObject(
      {
        resource: uri.optional(),
        scope: scope.optional(),
        task: text(16_384, 'must be the id of a task, or a signed one').optional(),
      },
      { error: object },
    )
    .optional(),
};

export const attributeName = /^[a-z][a-z0-9_.-]{0,62}$/;

const attributes = z
  .record(
    z.string().regex(attributeName, 'must be a name of lowercase letters, digits, dots, hyphens or underscores'),
    text(256, 'must be 1 to 256 printable characters'),
    { error: 'must be an object of names and texts' },
  )
  .refine((all) => Object.keys(all).length <= 16, 'must be at most 16')
  .refine((all) => !('address' in all), 'must not say an address: the server sees where the request comes from')
  .default({});

/** `POST /instances`, with what authenticates a client beside it. */
export const enrolBody = z.strictObject(
  {
    ...wanted,
    attributes,
    client_id: text(2048, 'must be a client_id').optional(),
    client_secret: text(512, 'must be a client secret').optional(),
    client_assertion_type: text(256, 'must be a type of assertion').optional(),
    client_assertion: text(16_384, 'must be an assertion').optional(),
  },
  { error: object },
);

/** `POST /instances/{id}/renew` */
export const renewBody = z.strictObject(wanted, { error: object });

const childName = 'must be 1 to 63 lowercase letters, digits, dots, hyphens or underscores';

/** `POST /instances/{id}/children` */
export const childBody = z.strictObject(
  {
    ...wanted,
    attributes,
    name: z.string({ error: childName }).regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, childName),
    proof: text(8192, 'must be a DPoP proof by the key of the child').optional(),
    allowed: z
      .array(z.strictObject({ resource: uri, scope }, { error: object }), { error: 'must be a list' })
      .max(100, 'must be at most 100 resources')
      .optional(),
  },
  { error: object },
);

export type EnrolBody = z.output<typeof enrolBody>;
export type Wanted = z.output<typeof renewBody>;
export type ChildBody = z.output<typeof childBody>;

function object(issue: { code?: string }): string | undefined {
  return issue.code === 'unrecognized_keys' ? undefined : 'must be a JSON object';
}

/** @throws OAuthError `invalid_request` naming what is wrong and what would be right */
export function parsed<Schema extends z.ZodObject>(schema: Schema, body: unknown): z.output<Schema> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const errors = fieldErrors(result.error, body, 'body', Object.keys(schema.shape));
  throw new OAuthError('invalid_request', errors.map(({ field, message }) => `${field} ${message}`).join('; '));
}
