/** Of what the vocabulary is made: members that many types of event share, each described once. */
import { z } from 'zod';
import { type IdKind, idPrefixes } from '../lib/ids.ts';
import type { PersonalField } from './event.ts';

const said = <Schema extends z.ZodType>(schema: Schema, description: string) => schema.meta({ description });

/** The id of one of these. */
export const id = (...kinds: IdKind[]) =>
  z.string().regex(new RegExp(`^(${kinds.map((kind) => idPrefixes[kind]).join('|')})_[0-9a-hjkmnp-tv-z]{26}$`));

export const text = z.string();
export const count = z.int().min(0);
/** Milliseconds since 1970. */
export const instant = z.int();

/** What may stand in a leaf beside what is in every leaf. */
export const members = {
  agent: said(id('agent'), 'Whose doing it was.'),
  instance: said(id('instance'), 'Which running copy of it.'),
  jti: said(text, 'The token that it is about, or that it was done with.'),
  reason: said(text, 'Why it was refused, or by what it was allowed.'),
  resource: said(text, 'Identifier of the resource that it is about.'),
  target: said(text, 'What it was done to.'),
  trace: said(
    z.string().regex(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}/),
    'The `traceparent` that the request came with (W3C Trace Context).',
  ),
} as const;
export type Member = keyof typeof members;

/** In every leaf. */
export const everywhere = {
  at: said(z.iso.datetime(), 'When it was decided, by the clock of the server.'),
  commitments: said(
    z.record(z.string(), z.string().regex(/^[A-Za-z0-9_-]{43}$/)),
    'What is personal, each as SHA-256 over `[field, salt, value]`: the values lie beside the leaf, sealed.',
  ),
  id: said(id('event'), 'Ordering by it is ordering by time.'),
  org: said(id('organization'), 'Whose log it is in.'),
  outcome: said(z.enum(['allowed', 'refused']), 'What was decided.'),
  type: said(text, 'Which of these types.'),
  v: said(z.literal(1), 'The version of this form.'),
} as const;

/** What is personal, by field: it may be erased, and the proof of the leaf still holds. */
export const personal: Record<PersonalField, string> = {
  address: 'From where.',
  details: 'What people and models wrote: reasons, names, `authorization_details`.',
  owner: 'Who answers for the agent.',
  person: 'For whom it was done.',
  purpose: 'What the agent or task is for, in words.',
};

export const rev = said(count, 'The revocation number as of which it was decided.');
export const registry = said(count, 'The version of the registry as of which it was decided.');
export const workflow = said(text, 'The workflow of the task.');
export const step = said(text, 'The step of the workflow.');
export const scope = (description = 'The scopes of the token that it was done with.') =>
  said(z.array(text), description);

export const client = said(
  z.strictObject({
    credential: id('credential', 'instance'),
    environment: text.optional(),
    key: text,
    kind: text,
    method: text,
  }),
  'What was known of the client: its credential, the thumbprint of its key, and how it proved itself.',
);

export const provenance = said(
  z.record(z.string(), text),
  'Who vouches for what it was decided on: observed, attested, orchestrated, registered, proven, claimed or declared.',
);

/** What policies said, where they were asked. */
export const policyMembers = {
  by: said(z.array(text), 'The statements that decided, as `policy/statement`.').optional(),
  observed: said(
    z.looseObject({ decision: text, by: z.array(text) }),
    'What observed policies would have decided.',
  ).optional(),
  policy: said(text, 'Which revision of whose policies: `organization/revision`.').optional(),
  policy_input: said(
    z.looseObject({ at: z.int() }),
    'What policies were asked, as far as it isn’t personal and stands nowhere else in the event.',
  ).optional(),
};

/** What a change through the admin API carries. */
export const changed = (description = 'The members that it was changed to.', shape: z.ZodRawShape = {}) =>
  said(
    z.looseObject({
      rev: said(count, 'The number of the revocation that came with it.').optional(),
      ...shape,
    }),
    description,
  );
