/** Who is sent security signals, and from whom they are heard. */
import { sha256Base64url } from '@bailiwick/protocol';
import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { deliveryMethods, verificationEvent } from '../ssf/events.ts';
import { countSets, isWaiting } from '../ssf/set-store.ts';
import { type Source, sourcesTopic } from '../ssf/source.ts';
import { deleteSource, findSource, insertSource, selectSources, updateSource } from '../ssf/source-store.ts';
import { type Stream, streamStatuses } from '../ssf/stream.ts';
import { deleteStream, findStream, putSecret, selectStreams } from '../ssf/stream-store.ts';
import { tellVerification } from '../ssf/verify.ts';
import { signalSecretName } from '../store/secrets.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, invalid } from '../web/problem.ts';
import { idOf, line, oneOf, record, shownTime, slug } from './fields.ts';
import { checkedAddress, publishedKeys } from './published-keys.ts';
import { within } from './reach.ts';
import { type Call, read, write } from './route.ts';
import {
  byId,
  changes,
  checkMatch,
  common,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
} from './shapes.ts';
import { changeable, madeSource, pollBody, pollOf, shownSource, showSource, sourceName } from './signal-source.ts';

const shownStream = z.strictObject({
  ...common('signal_stream'),
  agent: idOf('agent').meta({ description: 'Whose stream it is: who is told.' }),
  delivery: oneOf(['push', 'poll']),
  host: z.string().optional().meta({ description: 'Where it is pushed to; the rest of the address may be a secret.' }),
  events_requested: z.array(z.string()).optional(),
  description: z.string().optional(),
  default_subjects: oneOf(['ALL', 'NONE']),
  status: oneOf(streamStatuses),
  reason: z.string().optional(),
  waiting: z.int().meta({ description: 'How many signals it holds.' }),
  failures: z.int().meta({ description: 'How often delivery failed in a row.' }),
  fault: z.string().optional().meta({ description: 'Why the last delivery failed.' }),
  delivered_at: shownTime.optional(),
  updated_at: shownTime,
});

const showStream = (stream: Stream, waiting: number): z.output<typeof shownStream> => ({
  id: stream.id,
  organization: stream.org,
  created_at: rfc3339(stream.createdAt),
  agent: stream.agent,
  delivery: stream.method,
  ...(stream.endpointUrl !== undefined && { host: new URL(stream.endpointUrl).host }),
  ...(stream.eventsRequested && { events_requested: [...stream.eventsRequested] }),
  ...(stream.description !== undefined && { description: stream.description }),
  default_subjects: stream.defaultSubjects,
  status: stream.status,
  ...(stream.reason !== undefined && { reason: stream.reason }),
  waiting,
  failures: stream.failures,
  ...(stream.fault !== undefined && { fault: stream.fault }),
  ...(stream.deliveredAt !== undefined && { delivered_at: rfc3339(stream.deliveredAt) }),
  updated_at: rfc3339(stream.updatedAt),
});

const foundStream = async (call: Call, id: string) => within(call, 'signal stream', id, await findStream(call.q, id));
const foundSource = async (call: Call, id: string) => within(call, 'signal source', id, await findSource(call.q, id));

/** 256 bits: what is pushed with it is believed to come from the source. */
const newAuthorization = (call: Call): string => `Bearer ${call.deps.random.bytes(32).toString('base64url')}`;

/** What a source says stops agents and ends tokens: whoever says which is believed, by which keys and about whom, could order that. */
const mayStop = ['signals:write', 'revocations:write'] as const;

const told = ({ name, issuer, events, subjects, poll }: Source) => ({
  name,
  issuer,
  events,
  subjects,
  delivery: poll ? 'poll' : 'push',
});

export const signalRoutes = [
  read({
    id: 'listSignalStreams',
    path: '/signal-streams',
    summary: 'List who is sent security signals (SSF)',
    description: 'Receivers make and change their streams themselves, with the role `signal-receiver`.',
    scopes: ['signals:read'],
    query: listQuery({ agent: idOf('agent').optional() }),
    response: pageOfSchema(shownStream),
    async handler(call, { query }) {
      const page = pageFilter('signal_stream', query);
      const streams = await selectStreams(call.q, { org: call.org.id, agent: query.agent, ...page });
      const waiting = new Map<string, number>();
      for (const { id } of streams) waiting.set(id, await countSets(call.q, id));
      return pageOf(streams, page.shown, (stream) => showStream(stream, waiting.get(stream.id) ?? 0));
    },
  }),
  read({
    id: 'getSignalStream',
    path: '/signal-streams/{id}',
    summary: 'Show a stream of security signals',
    scopes: ['signals:read'],
    params: byId('signal_stream'),
    response: shownStream,
    async handler(call, { params }) {
      const stream = await foundStream(call, params.id);
      return showStream(stream, await countSets(call.q, stream.id));
    },
  }),
  write('POST', {
    id: 'verifySignalStream',
    path: '/signal-streams/{id}/verify',
    summary: 'Send a verification event on a stream of security signals, to see whether it arrives',
    description:
      'It takes its turn behind what waits; `delivered_at` and `fault` say afterwards what became of it. While one waits, no other is sent. Receivers ask for their own, with a `state`, as SSF 1.0 §8.1.4 says.',
    scopes: ['signals:write'],
    params: byId('signal_stream'),
    response: shownStream,
    async handler(call, { params }) {
      const stream = await foundStream(call, params.id);
      if (stream.status === 'disabled')
        throw conflict('status', 'is disabled: nothing waits in it, and nothing is sent');
      const waits = await isWaiting(call.tx, stream.id, verificationEvent);
      if (!waits) await tellVerification(call.tx, call.deps, stream);
      const changed = { change: 'verification', agent: stream.agent };
      return {
        body: showStream(stream, await countSets(call.tx, stream.id)),
        ...(!waits && {
          event: { type: 'signal.stream_changed', org: stream.org, target: stream.id, changed, unremembered: true },
        }),
      };
    },
  }),
  write('DELETE', {
    id: 'endSignalStream',
    path: '/signal-streams/{id}',
    summary: 'End a stream of security signals, with all that waits in it',
    description: 'Its receiver can make another, as long as it holds a role that allows it.',
    scopes: ['signals:write'],
    params: byId('signal_stream'),
    async handler(call, { params }) {
      const stream = await foundStream(call, params.id);
      await deleteStream(call.tx, stream.id);
      const changed = { change: 'ended', agent: stream.agent, method: deliveryMethods[stream.method] };
      return {
        body: undefined,
        event: { type: 'signal.stream_changed', org: stream.org, target: stream.id, changed, unremembered: true },
      };
    },
  }),
  read({
    id: 'listSignalSources',
    path: '/signal-sources',
    summary: 'List from whom security signals are heard (SSF)',
    scopes: ['signals:read'],
    query: listQuery({ name: slug.optional() }),
    response: pageOfSchema(shownSource),
    async handler(call, { query }) {
      const page = pageFilter('signal_source', query);
      const sources = await selectSources(call.q, { org: call.org.id, name: query.name, ...page });
      return pageOf(sources, page.shown, (source) => showSource(call.deps, source));
    },
  }),
  write('POST', {
    id: 'createSignalSource',
    path: '/signal-sources',
    summary: 'Hear security signals from another provider',
    description:
      'It pushes, to `push_url` and showing `secret`; or it is asked, with `poll`. What its signals do, policies say: `Action::"signal:apply"`. They can stop agents: so it takes `revocations:write`, too.',
    scopes: [...mayStop],
    status: 201,
    body: record({
      name: sourceName,
      issuer: line(2048, 1).meta({ description: 'What its tokens carry as `iss`.' }),
      ...changeable,
      poll: pollBody.optional().meta({ description: 'Asks it, instead of being pushed to.' }),
    }),
    example: { name: 'okta', issuer: 'https://example.okta.com', audience: ['https://id.example.com'] },
    response: madeSource,
    async prepare(call, { body }) {
      if (body.issuer === call.deps.config.issuer) throw invalid('issuer', 'is this server itself: it knows already');
      const jwksUri =
        body.jwks_uri === undefined
          ? await publishedKeys(call.deps, body.issuer, ['ssf'])
          : checkedAddress('jwks_uri', body.jwks_uri);
      return { jwksUri, poll: body.poll && (await pollOf(body.poll)) };
    },
    async handler(call, { body }, { jwksUri, poll }) {
      const { tx, deps, org, now } = call;
      const authorization = poll ? undefined : newAuthorization(call);
      const source: Source = {
        id: newId(deps, 'signal_source'),
        org: org.id,
        name: body.name,
        issuer: body.issuer,
        jwksUri,
        audience: body.audience,
        events: body.events,
        subjects: body.subjects,
        authorizationHash: authorization === undefined ? undefined : sha256Base64url(authorization),
        poll: poll?.settings,
        jwks: undefined,
        jwksAt: undefined,
        jwksTriedAt: undefined,
        heardAt: undefined,
        dueAt: poll ? now : undefined,
        failures: 0,
        fault: undefined,
        createdAt: now,
        updatedAt: now,
      };
      if (!(await insertSource(tx, source))) throw conflict('name', 'is registered here already');
      if (poll) {
        await putSecret(tx, source.id, deps.encryption.seal(signalSecretName(source.id), poll.secret));
        await tx.notify(sourcesTopic, source.id);
      }
      const changed = { change: 'source_created', ...told(source) };
      return {
        body: showSource(deps, source),
        ...(authorization !== undefined && { secret: authorization }),
        event: { type: 'signal.stream_changed', org: org.id, target: source.id, changed, unremembered: true },
      };
    },
  }),
  read({
    id: 'getSignalSource',
    path: '/signal-sources/{id}',
    summary: 'Show a source of security signals',
    scopes: ['signals:read'],
    params: byId('signal_source'),
    response: shownSource,
    handler: async (call, { params }) => showSource(call.deps, await foundSource(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateSignalSource',
    path: '/signal-sources/{id}',
    summary: 'Change what is heard from a source of security signals',
    scopes: [...mayStop],
    params: byId('signal_source'),
    body: patchOf(changeable),
    example: { events: ['session-revoked', 'risk-level-change'] },
    response: shownSource,
    async handler(call, { params, body }) {
      const { tx, deps, now } = call;
      const source = await foundSource(call, params.id);
      const before = showSource(deps, source);
      checkMatch(call, before);
      const { jwks_uri, audience, events, subjects } = before;
      const wanted = patchedBy(z.strictObject(changeable), { jwks_uri, audience, events, subjects }, body);
      if (wanted.jwks_uri === undefined) throw invalid('jwks_uri', 'can not be taken away');
      const jwksUri = checkedAddress('jwks_uri', wanted.jwks_uri);
      const moved = jwksUri !== source.jwksUri && { jwks: undefined, jwksAt: undefined, jwksTriedAt: undefined };
      const rest = { audience: wanted.audience, events: wanted.events, subjects: wanted.subjects };
      const after: Source = { ...source, ...moved, ...rest, jwksUri, updatedAt: now };
      const changed = changes(before, showSource(deps, { ...after, updatedAt: source.updatedAt }));
      if (Object.keys(changed).length === 0) return { body: before };
      await updateSource(tx, { ...after, ...(source.poll && { dueAt: now }) });
      if (source.poll) await tx.notify(sourcesTopic, source.id);
      const event = { type: 'signal.stream_changed' as const, org: source.org, target: source.id, unremembered: true };
      return {
        body: showSource(deps, after),
        event: { ...event, changed: { change: 'source_updated', ...told(after) } },
      };
    },
  }),
  write('DELETE', {
    id: 'removeSignalSource',
    path: '/signal-sources/{id}',
    summary: 'Hear nothing more from a source of security signals',
    description: 'What its signals did stays as it is.',
    scopes: ['signals:write'],
    params: byId('signal_source'),
    async handler(call, { params }) {
      const source = await foundSource(call, params.id);
      await deleteSource(call.tx, source.id);
      const changed = { change: 'source_removed', ...told(source) };
      return {
        body: undefined,
        event: { type: 'signal.stream_changed', org: source.org, target: source.id, changed, unremembered: true },
      };
    },
  }),
] as const;
