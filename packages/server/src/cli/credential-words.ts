/** Credentials in words: what one is, when it was used, when it ends. */
import { lastUseUnknownMs } from '../credentials/credential.ts';
import { shortTime, span } from './output.ts';
import type { Credential } from './registry.ts';

const kindWords = {
  public_key: 'key',
  certificate: 'certificate',
  certificate_subject: 'TLS subject',
  spiffe_id: 'SPIFFE ID',
  secret: 'secret',
  enrolment_token: 'enrolment token',
} as const satisfies Record<Credential['kind'], string>;

/** `key`, `TLS subject`, … */
export const kindOf = ({ kind }: Credential): string => kindWords[kind];

/** What tells it from others of its kind: an algorithm, a name, from where it may be used. */
export function whatItIs(credential: Credential): string {
  switch (credential.kind) {
    case 'public_key':
      return credential.alg ?? '';
    case 'certificate':
      return credential.subject_dn ?? '';
    case 'certificate_subject':
      return `${credential.subject?.field}=${credential.subject?.value}`;
    case 'spiffe_id':
      return credential.spiffe_id ?? '';
    case 'enrolment_token':
      return credential.addresses === undefined ? '' : `from ${credential.addresses.join(', ')}`;
    case 'secret':
      return '';
  }
}

/** `key ES256`, `TLS subject san_dns=desk.example.com`: in a sentence. */
export const described = (credential: Credential): string => `${kindOf(credential)} ${whatItIs(credential)}`.trim();

/** For how long it has surely not been used, in milliseconds. Its last use may be later than noted, by an hour at most. */
export const idleFor = ({ last_used_at, created_at }: Pick<Credential, 'last_used_at' | 'created_at'>, now: number) =>
  now - (last_used_at === undefined ? Date.parse(created_at) : Date.parse(last_used_at) + lastUseUnknownMs.lasting);

/** When it was last used, as exactly as that is known. */
export function lastUseOf({ last_used_at, used_at, expires_at }: Credential, now: number): string {
  if (last_used_at === undefined) return 'never';
  if (used_at !== undefined) return shortTime(used_at);
  const unknown = expires_at === undefined ? lastUseUnknownMs.lasting : lastUseUnknownMs.ending;
  if (now - Date.parse(last_used_at) < unknown)
    return `within ${unknown === lastUseUnknownMs.lasting ? 'the hour' : 'the minute'}`;
  return `${shortTime(last_used_at).slice(0, 16)}Z`;
}

/** What a table that shows last uses has to say of them. */
export const lastUseFooter =
  'The last use is noted once an hour, or once a minute of what has an end: it may be later than shown by that.';

/** When it ends by itself, or when it was used up. */
export const endOf = ({ status, expires_at, used_at }: Credential): string =>
  status === 'used' ? `used ${shortTime(used_at)}` : shortTime(expires_at) || 'never';

/** Why it deserves a look: `never used in 41 d`, `ends in 3 d`. Times in milliseconds. */
export function reasonsToLook(
  { last_used_at, created_at, expires_at }: Credential,
  { stale, expiring, now }: { stale: number | undefined; expiring: number | undefined; now: number },
): string[] {
  const idle = idleFor({ last_used_at, created_at }, now);
  const left = expires_at === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires_at) - now;
  return [
    ...(stale !== undefined && idle > stale
      ? [last_used_at === undefined ? `never used in ${span(idle)}` : `not used for ${span(idle)}`]
      : []),
    ...(expiring !== undefined && left < expiring ? [`ends in ${span(left)}`] : []),
  ];
}
