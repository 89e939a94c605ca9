/**
 * What went wrong between the agent, its issuer and the API, told to a person: which step, which address, what to do.
 *
 * It never holds a token, an assertion, a proof, a key, a query string, or text that a foreign host chose:
 * errors end in logs and in the prompts of models.
 */
export class BailiwickError extends Error {
  /** For programs: an OAuth error such as `invalid_client`, or one of ours such as `resource_refused`. */
  readonly code: string;
  /** The HTTP status behind it, if there was an answer. */
  readonly status: number | undefined;
  /** What to do about it. */
  readonly hint: string | undefined;

  constructor(code: string, message: string, more: { status?: number | undefined; hint?: string | undefined } = {}) {
    super(message);
    this.name = 'BailiwickError';
    this.code = code;
    this.status = more.status;
    this.hint = more.hint;
  }
}
