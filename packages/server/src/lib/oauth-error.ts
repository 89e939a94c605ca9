import type { Requirement } from '@bailiwick/protocol';

/** The OAuth errors that we answer, with their status. @see RFC 6749 §5.2, RFC 8707 §2, RFC 9449 §5 and §8 */
export const oauthErrors = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_grant: 400,
  unauthorized_client: 400,
  unsupported_grant_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  invalid_authorization_details: 400,
  invalid_dpop_proof: 400,
  /** Policy, or where the request comes from, says no: nothing that the client asks differently will change it. */
  access_denied: 400,
  /** Policy says not yet: `requirements` say what is missing. */
  step_up_required: 400,
  use_dpop_nonce: 400,
  /** Not in the RFCs' tables, but in their spirit: the client did nothing wrong and should come again. */
  temporarily_unavailable: 503,
} as const;

export type OAuthErrorCode = keyof typeof oauthErrors;

/**
 * A refusal at an OAuth endpoint. `message` is public; `reason` is what the log says of it, and never travels.
 * One place turns it into HTTP (`oauth/reply.ts`).
 */
export class OAuthError extends Error {
  readonly code: OAuthErrorCode;
  readonly reason: string;
  readonly status: number;
  /** For what should be tried again: after how many seconds. */
  readonly retryAfter: number | undefined;
  /** The transaction that found it has put it on record already. */
  readonly settled: boolean;
  /** What policy wants before it says yes. */
  readonly requirements: readonly Requirement[];
  /** What was decided on, for the log: nothing in it is personal. */
  readonly decidedOn: Readonly<Record<string, unknown>>;
  /** The same of what is personal, for the sealed part of the event. */
  readonly personal: object | undefined;
  /** Id of the person on whose authority it was asked, where it isn't the client's owner: it is found as theirs, and erased with them. */
  readonly person: string | undefined;

  constructor(
    code: OAuthErrorCode,
    message: string,
    more: {
      reason?: string;
      status?: number;
      retryAfter?: number | undefined;
      settled?: boolean;
      requirements?: readonly Requirement[];
      decidedOn?: Readonly<Record<string, unknown>>;
      personal?: object | undefined;
      person?: string | undefined;
    } = {},
  ) {
    super(message);
    this.name = 'OAuthError';
    this.code = code;
    this.reason = more.reason ?? message;
    this.status = more.status ?? oauthErrors[code];
    this.retryAfter = more.retryAfter;
    this.settled = more.settled ?? false;
    this.requirements = more.requirements ?? [];
    this.decidedOn = more.decidedOn ?? {};
    this.personal = more.personal;
    this.person = more.person;
  }
}

/** What is done on the authority of a person, if there is one: a refusal of it is on record as theirs. */
export async function onAuthorityOf<Result>(person: string | undefined, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (person === undefined || !(error instanceof OAuthError)) throw error;
    throw new OAuthError(error.code, error.message, { ...error, person });
  }
}
