import { BailiwickError } from './errors.ts';

/** On whose authority tokens are asked for, where it isn't the agent's own: what is presented for each of them. */
export interface Subject {
  readonly type: string;
  readonly token: string;
  /** Who acts, where that isn't whoever asks: a token of its own. */
  readonly actor?: string;
}

/** Says of a person who they are: by an issuer that ours trusts. */
export interface IdToken {
  readonly idToken: string;
}

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ofMandate = 'urn:bailiwick:params:oauth:token-type:mandate';
export const ofAccessToken = 'urn:ietf:params:oauth:token-type:access_token';
const ofIdToken = 'urn:ietf:params:oauth:token-type:id_token';

/**
 * A mandate by its id, an access token that somebody else came with, or an ID token.
 * @param actor an access token of the agent itself, by which it proves which of its copies acts
 * @throws BailiwickError `bad_option`
 */
export function subjectOf(given: string | { readonly id: string } | IdToken, actor?: string): Subject {
  if (actor !== undefined && !isJwt(actor))
    throw new BailiwickError('bad_option', 'actorToken must be an access token');
  return { ...presentedFor(given), ...(actor !== undefined && { actor }) };
}

function presentedFor(given: string | { readonly id: string } | IdToken): Subject {
  const { id, idToken }: { id?: unknown; idToken?: unknown } =
    typeof given === 'string' ? { id: given } : (given ?? {});
  if (isMandateId(id)) return { type: ofMandate, token: id };
  if (typeof given === 'string' && isJwt(given)) return { type: ofAccessToken, token: given };
  if (isJwt(idToken)) return { type: ofIdToken, token: idToken };
  throw new BailiwickError(
    'bad_option',
    'the subject must be a mandate, its id (mdt_…), an access token, or an ID token as { idToken }',
  );
}

export const isMandateId = (text: unknown): text is string =>
  typeof text === 'string' && /^mdt_[0-9a-z]{26}$/.test(text);

const isJwt = (text: unknown): text is string =>
  typeof text === 'string' && text.length <= 16_384 && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

/**
 * By which grant tokens are asked for, and what that takes.
 * @see RFC 8693 §2.1, RFC 6749 §4.4.2
 */
export function grantOf(subject: Subject | undefined): Record<string, string> {
  if (subject === undefined) return { grant_type: 'client_credentials' };
  const { type, token, actor } = subject;
  return {
    ...{ grant_type: exchange, subject_token: token, subject_token_type: type },
    ...(actor !== undefined && { actor_token: actor, actor_token_type: ofAccessToken }),
  };
}

/** Something that a token has less of than it could, and which link of the chain it was that took it away. */
export interface Narrowed {
  /** `scope`, `authorization_details`, `lifetime`, `context`. */
  readonly what: string;
  /** Which of it. */
  readonly value?: unknown;
  /** `mandate mdt_…`, `subject_token`, `roles`, `task`, `instance`, `policy`, `registration`. */
  readonly by: string;
}

/** What an answer says of that, as far as it can be read. */
export function narrowedIn(answered: unknown): readonly Narrowed[] {
  if (!Array.isArray(answered)) return [];
  return answered.flatMap((each): Narrowed[] => {
    const { what, value, by } = (typeof each === 'object' && each !== null ? each : {}) as Record<string, unknown>;
    if (typeof what !== 'string' || typeof by !== 'string') return [];
    return [{ what, by, ...(value !== undefined && { value }) }];
  });
}
