/** A source of security signals as the admin API takes and shows it. */
import { generateJwk, type PrivateJwk, publicJwk } from '@bailiwick/protocol';
import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { rfc3339 } from '../lib/clock.ts';
import { heardEvents } from '../ssf/events.ts';
import { type PollSettings, type Source, subjectKinds } from '../ssf/source.ts';
import { invalid } from '../web/problem.ts';
import { line, oneOf, record, setOf, shownTime, slug } from './fields.ts';
import { checkedAddress } from './published-keys.ts';
import { common } from './shapes.ts';

const address = line(2048, 1);
const event = oneOf(heardEvents);

export const changeable = {
  jwks_uri: address.optional().meta({
    description:
      'Where its keys are. Without: its own metadata says it, at `/.well-known/ssf-configuration` of the issuer.',
  }),
  audience: setOf(address, 10, 'audiences')
    .refine((some) => some.length > 0, 'must name at least one')
    .meta({ description: 'What its tokens carry as `aud`: one of these. It says so when the stream is made there.' }),
  events: setOf(event, heardEvents.length, 'events')
    .default([...heardEvents])
    .meta({ description: 'What is listened to. Policy decides what of it does something.' }),
  subjects: setOf(oneOf(subjectKinds), subjectKinds.length, 'kinds').default(['agent', 'credential']).meta({
    description:
      'By what it may mean agents: `agent` by our own names for them, `credential` by a SPIFFE ID that is registered as a credential, `email` by the address of the person who answers for them.',
  }),
};

export const pollBody = record({
  url: address.meta({ description: 'The `endpoint_url` of the stream there.' }),
  oauth: record({
    issuer: address.meta({ description: 'Who issues tokens for it.' }),
    client_id: line(256, 1).meta({
      description: 'What we are there. Register the public key there that is in the answer.',
    }),
  }).optional(),
  authorization: line(4096, 1).optional().meta({
    description:
      'An `Authorization` header that is shown as it is, where it takes no OAuth. Kept encrypted, and shown to nobody.',
  }),
});

export const sourceName = slug.meta({ description: 'What policies call it: `Source::"<name>"`.' });

export const shownSource = z.strictObject({
  ...common('signal_source'),
  name: slug,
  issuer: z.string(),
  jwks_uri: z.string(),
  audience: z.array(z.string()),
  events: z.array(event),
  subjects: z.array(oneOf(subjectKinds)),
  delivery: oneOf(['push', 'poll']),
  push_url: z.string().optional().meta({ description: 'Where it pushes to: the `endpoint_url` of the stream there.' }),
  poll: z
    .strictObject({
      url: z.string(),
      oauth: z
        .strictObject({ issuer: z.string(), client_id: z.string(), jwk: z.record(z.string(), z.unknown()) })
        .optional(),
    })
    .optional(),
  heard_at: shownTime.optional().meta({ description: 'When something of it was last accepted.' }),
  fault: z.string().optional().meta({ description: 'What went wrong the last time, if something did.' }),
  updated_at: shownTime,
});

export const madeSource = shownSource.extend({
  secret: z.string().optional().meta({
    description:
      'What it must show as `Authorization` when it pushes: the `authorization_header` of the stream there. In this answer alone.',
  }),
  secret_withheld: z.string().optional(),
});

export function showSource({ config }: Pick<Deps, 'config'>, source: Source): z.output<typeof shownSource> {
  const { poll } = source;
  return {
    id: source.id,
    organization: source.org,
    created_at: rfc3339(source.createdAt),
    name: source.name,
    issuer: source.issuer,
    jwks_uri: source.jwksUri,
    audience: [...source.audience],
    events: [...source.events],
    subjects: [...source.subjects],
    delivery: poll ? 'poll' : 'push',
    ...(!poll && { push_url: `${config.issuer}/ssf/receive/${source.id}` }),
    ...(poll && {
      poll: {
        url: poll.url,
        ...(poll.oauth && {
          oauth: { issuer: poll.oauth.issuer, client_id: poll.oauth.clientId, jwk: { ...poll.oauth.jwk } },
        }),
      },
    }),
    ...(source.heardAt !== undefined && { heard_at: rfc3339(source.heardAt) }),
    ...(source.fault !== undefined && { fault: source.fault }),
    updated_at: rfc3339(source.updatedAt),
  };
}

/** How we ask, and what of it is secret. A key is ours, and made here. @throws Problem 422 */
export async function pollOf(wanted: z.output<typeof pollBody>): Promise<{ settings: PollSettings; secret: string }> {
  const url = checkedAddress('poll.url', wanted.url);
  if ((wanted.oauth === undefined) === (wanted.authorization === undefined)) {
    throw invalid('poll', 'must have either oauth or authorization');
  }
  if (wanted.oauth === undefined) return { settings: { url }, secret: wanted.authorization as string };
  const key: PrivateJwk = await generateJwk('ES256');
  const issuer = checkedAddress('poll.oauth.issuer', wanted.oauth.issuer);
  return {
    settings: { url, oauth: { issuer, clientId: wanted.oauth.client_id, jwk: publicJwk(key) } },
    secret: JSON.stringify(key),
  };
}
