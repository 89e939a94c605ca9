/**
 * `client_secret_basic` and `client_secret_post`: a shared secret, by an exception that has a date. Off unless the
 * configuration names the day until which it lasts.
 * @see RFC 6749 §2.3.1
 */
import { timingSafeEqual } from 'node:crypto';
import { hashOf, secretsEndAt } from '../credentials/secret.ts';
import type { Client, Form, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Counter } from '../liveness/liveness.ts';
import { parseForm, single } from '../tokens/form.ts';
import { failed } from './failed.ts';
import { registrationOf } from './registration.ts';

/** Whether secrets are taken at all now. */
function taken({ config, clock }: Deps): boolean {
  const end = secretsEndAt(config);
  return end !== undefined && clock.now() < end;
}

export const clientSecretBasic = {
  method: 'client_secret_basic',
  presented: ({ authorization }: OAuthRequest) => authorization !== undefined,
  supported: taken,

  /** @throws OAuthError `invalid_client`, `invalid_request` */
  async authenticate(deps: Deps, request: OAuthRequest, asOf: Counter): Promise<Client> {
    const { id, secret } = basicCredentials(request.authorization as string);
    const named = single(request.form, 'client_id');
    if (named !== undefined && named !== id) throw failed('client_id is not the user of Basic');
    return clientBySecret(deps, asOf, { id, secret, method: 'client_secret_basic' });
  },
};

export const clientSecretPost = {
  method: 'client_secret_post',
  presented: ({ form }: OAuthRequest) => single(form, 'client_secret') !== undefined,
  supported: taken,

  /** @throws OAuthError `invalid_client`, `invalid_request` */
  async authenticate(deps: Deps, request: OAuthRequest, asOf: Counter): Promise<Client> {
    const id = single(request.form, 'client_id');
    if (id === undefined) throw new OAuthError('invalid_request', 'client_id is missing');
    const secret = single(request.form, 'client_secret') as string;
    return clientBySecret(deps, asOf, { id, secret, method: 'client_secret_post' });
  },
};

/** As many as an agent may have at a time; so many are always compared, with whatever. */
const comparedAlways = 2;
const nobodys = hashOf('');

/** One hash and the same comparisons, whether the client exists or not. */
async function clientBySecret(
  deps: Deps,
  asOf: Counter,
  { id, secret, method }: { id: string; secret: string; method: string },
): Promise<Client> {
  const hash = hashOf(secret);
  const registration = await registrationOf(deps, asOf, id);
  const now = deps.clock.now();
  // the registration is remembered, and a secret ends by time itself
  const live = (registration?.others ?? []).filter(
    ({ kind, expiresAt }) => kind === 'secret' && expiresAt !== undefined && expiresAt > now,
  );
  const matching = live.filter(({ thumbprint }) => same(thumbprint, hash));
  for (let i = live.length; i < comparedAlways; i++) same(nobodys, hash);
  if (!registration) throw failed('unknown client');
  const [credential] = matching;
  if (!credential) throw failed(live.length > 0 ? 'wrong secret' : 'no live secret');
  return {
    agent: registration.agent,
    credential: credential.id,
    thumbprint: credential.thumbprint,
    credentialEndsAt: credential.expiresAt,
    method,
    proofs: [],
    asOf,
  };
}

const same = (ours: string, theirs: string) => timingSafeEqual(Buffer.from(ours), Buffer.from(theirs));

/** User and password of HTTP Basic, each of them encoded as in a form. @see RFC 6749 §2.3.1, RFC 7617 §2 */
function basicCredentials(authorization: string): { id: string; secret: string } {
  if (!/^basic(?= |$)/i.test(authorization)) {
    throw new OAuthError('invalid_client', 'the Authorization header must be Basic, for client_secret_basic', {
      reason: 'refused method',
    });
  }
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1];
  if (encoded === undefined) throw failed('Basic is malformed');
  const text = Buffer.from(encoded, 'base64').toString('latin1');
  const colon = text.indexOf(':');
  if (
    colon === -1 ||
    Buffer.from(text, 'latin1').toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '')
  ) {
    throw failed('Basic is malformed');
  }
  const [id, secret] = [text.slice(0, colon), text.slice(colon + 1)].map(formDecoded);
  if (!id || !secret) throw failed('Basic is malformed');
  return { id, secret };
}

function formDecoded(text: string): string | undefined {
  if (/[^!-~]|[&=]/.test(text)) return undefined;
  try {
    const form: Form = parseForm(Buffer.from(`v=${text}`));
    return single(form, 'v');
  } catch (error) {
    if (error instanceof OAuthError) return undefined;
    throw error;
  }
}
