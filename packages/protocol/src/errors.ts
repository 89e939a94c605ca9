/**
 * Something on the wire is not as its specification says.
 *
 * `code` is for programs (`malformed`, `bad_signature`, `expired`, …); `message` is for people and safe to send
 * to the other side: it never holds a token, a key or a value taken from either.
 */
export class ProtocolError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.code = code;
  }
}
