import { jwsAlgorithms } from '@bailiwick/protocol';
import { z } from 'zod';
import { keyStates, newSigningKey, rotateSigningKey } from '../keys/keys.ts';
import { rfc3339 } from '../lib/clock.ts';
import { oneOf, record, shownTime } from './fields.ts';
import { read, write } from './route.ts';
import { listQuery } from './shapes.ts';

const shown = z.strictObject({
  kid: z.string(),
  alg: oneOf(jwsAlgorithms),
  state: oneOf(['published', 'signing', 'retiring', 'gone']),
  created_at: shownTime,
  signs_from: shownTime,
  signs_until: shownTime.optional(),
  published_until: shownTime.optional(),
  jwk: z.record(z.string(), z.unknown()),
});

export const keyRoutes = [
  read({
    id: 'listKeys',
    path: '/keys',
    summary: 'List the server’s signing keys',
    scopes: ['keys:read', 'organizations:any'],
    query: listQuery({}),
    response: z.strictObject({ items: z.array(shown) }),
    async handler(call, { query }) {
      const keys = await keyStates(call.deps, call.caller.asOf.version);
      // there are a handful: one page, always
      return {
        items: keys.slice(0, query.limit).map((key) => ({
          kid: key.kid,
          alg: key.alg,
          state: key.state,
          created_at: rfc3339(key.createdAt),
          signs_from: rfc3339(key.signsFrom),
          ...(key.signsUntil !== undefined && { signs_until: rfc3339(key.signsUntil) }),
          ...(key.publishedUntil !== undefined && { published_until: rfc3339(key.publishedUntil) }),
          jwk: { ...key.jwk },
        })),
      };
    },
  }),
  write('POST', {
    id: 'rotateKeys',
    path: '/keys/rotate',
    summary: 'Publish a new signing key',
    description:
      'It signs once every verifier has had time to fetch it; the old one stays published until its last token has died.',
    scopes: ['keys:write', 'organizations:any'],
    status: 201,
    body: record({ alg: oneOf(jwsAlgorithms).default('ES256') }).prefault({}),
    example: { alg: 'ES256' },
    response: z.strictObject({ kid: z.string(), alg: oneOf(jwsAlgorithms), signs_from: shownTime }),
    prepare: (_, { body }) => newSigningKey(body.alg),
    async handler(call, { body }, fresh) {
      const { kid, signsFrom, made } = await rotateSigningKey(call.tx, call.deps, body.alg, fresh);
      const answer = { kid, alg: body.alg, signs_from: rfc3339(signsFrom) };
      if (!made) return { body: answer };
      return { body: answer, event: { type: 'key.rotated', org: call.caller.org, target: kid, changed: answer } };
    },
  }),
] as const;
