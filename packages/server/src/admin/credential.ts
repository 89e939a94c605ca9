/** Credentials as the admin API takes and shows them: a body for each kind, one shape for all of them. */
import { areNetworks } from '@bailiwick/protocol';
import { z } from 'zod';
import { type Credential, credentialKinds, standingOf, standings, subjectFields } from '../credentials/credential.ts';
import { findCredential } from '../credentials/store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { idOf, line, oneOf, record, setOf, shownTime, text, time, wholeNumber } from './fields.ts';
import { within } from './reach.ts';
import type { Call } from './route.ts';
import { common } from './shapes.ts';

/** An enrolment token can be used for so long, in seconds. */
export const tokenLifetime = { default: 600, most: 3600 } as const;

/** What may be changed of a credential later on. */
export const writableCredential = {
  label: line(200).default('').meta({ description: 'Where the private half lives, say.' }),
  expires_at: time.optional().meta({ description: 'When it ends by itself.' }),
};

export const jwkBody = z
  .record(z.string().max(32), z.union([z.string().max(1400), z.array(z.string().max(32)).max(16)]), {
    error: 'must be a public key as a JWK: EC P-256, OKP Ed25519, or RSA with its alg',
  })
  .meta({
    description: 'The public half, as a JWK (RFC 7517). The private half stays where it was made.',
    examples: [{ kty: 'EC', crv: 'P-256', x: '…', y: '…' }],
  });

const pem = (most: number) => text(most).min(1, 'must be PEM: -----BEGIN CERTIFICATE----- …');

const cidr = z
  .string({ error: 'must be an address or a network, such as 10.0.0.0/8' })
  .max(64, 'must be an address or a network, such as 10.0.0.0/8')
  .refine((value) => areNetworks([value]), {
    error: 'must be an address or a network, such as 10.0.0.0/8',
  });

const attributesAtMost = 16;
const attributeMessage = `must be at most ${attributesAtMost} names of lowercase letters, digits, dots, hyphens or underscores, each with a line of text`;

/** As instances may declare them themselves; an address is seen, and said by nobody. */
const attributes = z
  .record(
    z.string().regex(/^[a-z][a-z0-9_.-]{0,62}$/, attributeMessage),
    z.string({ error: attributeMessage }).regex(/^[\x20-\x7e]{1,256}$/, 'must be 1 to 256 printable characters'),
    { error: attributeMessage },
  )
  .refine((all) => Object.keys(all).length <= attributesAtMost, attributeMessage)
  .refine((all) => !('address' in all), 'must not say an address: addresses says from where it may be used');

const subject = record({
  field: oneOf(subjectFields).meta({ description: 'Which name of the certificate (RFC 8705 §2.1.2).' }),
  value: z
    .string({ error: 'must be the name, as text' })
    .max(2048, 'must be at most 2048 characters')
    .meta({ description: 'The name: a DN as RFC 4514 writes it, or one DNS name, URI, address or mailbox.' }),
  ca: pem(48_000)
    .optional()
    .meta({ description: 'PEM: who must have issued it. Without: this server’s own authority.' }),
});

/** What each kind brings with it. */
const material = {
  public_key: { kind: z.literal('public_key').optional(), jwk: jwkBody, ...writableCredential },
  certificate: {
    kind: z.literal('certificate'),
    certificate: pem(16_384).meta({
      description:
        'PEM: one certificate, whoever issued it (RFC 8705 §2.2). It ends with the certificate at the latest.',
    }),
    ...writableCredential,
  },
  certificate_subject: {
    kind: z.literal('certificate_subject'),
    subject: subject.meta({
      description: `A name in certificates (RFC 8705 §2.1.2). \`field\`: ${subjectFields.join(', ')}. \`value\`: the name. \`ca\`: PEM of who must have issued them; without, this server’s own authority.`,
    }),
    ...writableCredential,
  },
  spiffe_id: {
    kind: z.literal('spiffe_id'),
    spiffe_id: z.string({ error: 'must be a SPIFFE ID' }).max(2048, 'must be at most 2048 characters').meta({
      description: 'A SPIFFE ID of another trust domain; with /* at its end, all that are below it.',
    }),
    ...writableCredential,
  },
  secret: {
    kind: z.literal('secret'),
    label: writableCredential.label,
    expires_at: time.meta({
      description: 'When it ends: not after the date that dangerously_client_secrets_until says.',
    }),
  },
  enrolment_token: {
    kind: z.literal('enrolment_token'),
    label: writableCredential.label,
    lifetime_seconds: wholeNumber(1, tokenLifetime.most)
      .default(tokenLifetime.default)
      .meta({ description: 'How long it can be used, once.' }),
    addresses: setOf(cidr, 20, 'addresses').default([]).meta({
      description: 'From where it may be used, as addresses or networks. Empty: from anywhere.',
    }),
    attributes: attributes.default({}).meta({
      description: 'What is known of the instance that will use it: its zone, image or node.',
    }),
  },
} satisfies Record<Credential['kind'], z.core.$ZodShape>;

/** A body for each kind, told apart by `kind`, with these members beside what the kind brings. */
function bodyOf<Shape extends z.core.$ZodShape>(beside: Shape) {
  const of = <Own extends z.core.$ZodShape>(own: Own) => record({ ...beside, ...own });
  return z.discriminatedUnion(
    'kind',
    [
      of(material.public_key),
      of(material.certificate),
      of(material.certificate_subject),
      of(material.spiffe_id),
      of(material.secret),
      of(material.enrolment_token),
    ],
    {
      error: (issue) =>
        issue.code === 'invalid_union' ? `must be one of ${credentialKinds.join(', ')}` : 'must be a JSON object',
    },
  );
}

const newCredential = z.discriminatedUnion('kind', [
  record(material.public_key),
  record(material.certificate),
  record(material.certificate_subject),
  record(material.spiffe_id),
  record(material.secret),
  record(material.enrolment_token),
]);

/** What a new credential is made of, whatever its kind. */
export type NewCredential = z.output<typeof newCredential>;

export const addBody = bodyOf({ agent: idOf('agent') });

export const rotateBody = bodyOf({
  overlap_seconds: wholeNumber(0, 90 * 86_400)
    .default(3600)
    .meta({ description: 'How long the old one still works beside the new one, unless it ends earlier by itself.' }),
});

export const shownCredential = z.strictObject({
  ...common('credential'),
  agent: idOf('agent'),
  kind: oneOf(credentialKinds),
  kid: z.string().optional().meta({ description: 'What assertions call the key.' }),
  thumbprint: z.string().meta({
    description:
      'RFC 7638 of a key, x5t#S256 of a certificate, SHA-256 of everything else: the hash is all that is kept of a secret.',
  }),
  alg: oneOf(['ES256', 'EdDSA', 'PS256', 'RS256']).optional(),
  jwk: z.record(z.string(), z.unknown()).optional(),
  certificate: z.string().optional(),
  subject_dn: z.string().optional().meta({ description: 'Whom a certificate names.' }),
  subject: z.strictObject({ field: oneOf(subjectFields), value: z.string(), ca: z.string().optional() }).optional(),
  spiffe_id: z.string().optional(),
  addresses: z.array(z.string()).optional(),
  attributes: z.record(z.string(), z.string()).optional(),
  label: z.string(),
  status: oneOf(standings).meta({
    description: 'Of these only an active one proves anything. Suspended: its agent is, until it is resumed.',
  }),
  expires_at: shownTime.optional(),
  last_used_at: shownTime.optional().meta({
    description: 'Noted once an hour, or once a minute of one that has an end: the last use may be later by that.',
  }),
  used_at: shownTime.optional().meta({ description: 'When an enrolment token was used.' }),
});

/** The same in the one answer that shows a secret. */
export const madeCredential = shownCredential.extend({
  secret: z
    .string()
    .optional()
    .meta({ description: 'Of a secret or an enrolment token: shown here, and never again.' }),
  secret_withheld: z
    .string()
    .optional()
    .meta({ description: 'In place of `secret` when the same request is answered again (Idempotency-Key).' }),
});

/** As it stands at the time of the call. */
export const showCredential = ({ now }: { now: number }, credential: Credential): z.output<typeof shownCredential> => ({
  id: credential.id,
  organization: credential.org,
  agent: credential.agent,
  kind: credential.kind,
  thumbprint: credential.thumbprint,
  ...ownMembers(credential),
  label: credential.label,
  status: standingOf(credential, now),
  created_at: rfc3339(credential.createdAt),
  ...(credential.expiresAt !== undefined && { expires_at: rfc3339(credential.expiresAt) }),
  ...(credential.lastUsedAt !== undefined && { last_used_at: rfc3339(credential.lastUsedAt) }),
  ...(credential.usedAt !== undefined && { used_at: rfc3339(credential.usedAt) }),
});

function ownMembers(credential: Credential) {
  switch (credential.kind) {
    case 'public_key':
      return { kid: credential.kid, alg: credential.alg, jwk: { ...credential.jwk } };
    case 'certificate':
      return { certificate: credential.detail.certificate, subject_dn: credential.detail.subject };
    case 'certificate_subject':
      return { subject: credential.detail };
    case 'spiffe_id':
      return { spiffe_id: credential.detail.spiffe_id };
    case 'enrolment_token':
      return credential.detail;
    case 'secret':
      return {};
  }
}

export const foundCredential = async (call: Call, id: string) =>
  within(call, 'credential', id, await findCredential(call.q, id));
