import { z } from 'zod';
import { authorityStates, bundleContent, freshKeys, rotatable, rotateAuthority } from '../keys/ca.ts';
import { keyStates } from '../keys/keys.ts';
import { rfc3339 } from '../lib/clock.ts';
import { subjectDn } from '../lib/x509.ts';
import { oneOf, record, shownTime } from './fields.ts';
import { read, write } from './route.ts';

const states = ['published', 'signing', 'retiring', 'gone'] as const;

const authority = z.strictObject({
  id: z.string(),
  kind: oneOf(['root', 'intermediate']),
  root: z.string().optional(),
  state: oneOf(states),
  subject: z.string(),
  created_at: shownTime,
  signs_from: shownTime,
  signs_until: shownTime.optional(),
  expires_at: shownTime,
  certificate: z.string(),
});

const jwtKey = z.strictObject({
  kid: z.string(),
  state: oneOf(states),
  created_at: shownTime,
  signs_from: shownTime,
  signs_until: shownTime.optional(),
});

export const certificateAuthorityRoutes = [
  read({
    id: 'readCertificateAuthority',
    path: '/certificate-authority',
    summary: 'See the certificate authority',
    description:
      'Roots, intermediates and the keys of JWT-SVIDs, with their certificates and how they stand; and the number of the trust bundle.',
    scopes: ['keys:read', 'organizations:any'],
    response: z.strictObject({
      trust_domain: z.string(),
      spiffe_sequence: z.number(),
      spiffe_refresh_hint: z.number(),
      /** Whether private keys lie encrypted in the database. */
      encrypted: z.boolean(),
      authorities: z.array(authority),
      jwt_svid_keys: z.array(jwtKey),
    }),
    async handler({ deps, caller }) {
      const { version } = caller.asOf;
      const { sequence, refreshHintSeconds } = await bundleContent(deps, version);
      return {
        trust_domain: deps.config.trust_domain,
        spiffe_sequence: sequence,
        spiffe_refresh_hint: refreshHintSeconds,
        encrypted: deps.encryption.encrypted,
        authorities: (await authorityStates(deps, version)).map((each) => ({
          id: each.id,
          kind: each.kind,
          ...(each.root !== undefined && { root: each.root }),
          state: each.state,
          subject: subjectDn(each.certificate),
          created_at: rfc3339(each.createdAt),
          signs_from: rfc3339(each.signsFrom),
          ...(each.signsUntil !== undefined && { signs_until: rfc3339(each.signsUntil) }),
          expires_at: rfc3339(each.expiresAt),
          certificate: each.pem,
        })),
        jwt_svid_keys: (await keyStates(deps, version, 'jwt_svid')).map((key) => ({
          kid: key.kid,
          state: key.state,
          created_at: rfc3339(key.createdAt),
          signs_from: rfc3339(key.signsFrom),
          ...(key.signsUntil !== undefined && { signs_until: rfc3339(key.signsUntil) }),
        })),
      };
    },
  }),
  write('POST', {
    id: 'rotateCertificateAuthority',
    path: '/certificate-authority/rotate',
    summary: 'Make a successor of a root, an intermediate or a key of JWT-SVIDs',
    description:
      'A root or key signs once every verifier has had time to fetch it with the trust bundle, an intermediate at once; what was signed before stays valid until its own end. ' +
      'All of them rotate by themselves in time: this is for doing it earlier. If a successor is waiting already, that one is answered.',
    scopes: ['keys:write', 'organizations:any'],
    status: 201,
    body: record({ what: oneOf(rotatable).default('intermediate') }).prefault({}),
    example: { what: 'root' },
    response: z.strictObject({ what: oneOf(rotatable), id: z.string(), signs_from: shownTime }),
    prepare: () => freshKeys(),
    async handler(call, { body }, fresh) {
      const { id, signsFrom, made } = await rotateAuthority(call.tx, call.deps, body.what, fresh);
      const answer = { what: body.what, id, signs_from: rfc3339(signsFrom) };
      if (!made) return { body: answer };
      return { body: answer, event: { type: 'authority.rotated', org: call.caller.org, target: id, changed: answer } };
    },
  }),
] as const;
