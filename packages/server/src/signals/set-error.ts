/** Why a SET isn't taken, in the words of the standard. @see RFC 8935 §2.4 */
export const setErrorCodes = [
  'invalid_request',
  'invalid_key',
  'invalid_issuer',
  'invalid_audience',
  'authentication_failed',
  'access_denied',
] as const;
export type SetErrorCode = (typeof setErrorCodes)[number];

/** `message` is for whoever sent it: it repeats nothing that was sent. */
export class SetError extends Error {
  readonly code: SetErrorCode;
  constructor(code: SetErrorCode, message: string) {
    super(message);
    this.name = 'SetError';
    this.code = code;
  }
}
