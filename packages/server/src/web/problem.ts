/**
 * What the admin API answers when it can't do what was asked: problem details that name the field and say what would
 * be right. One class, one place that turns it into HTTP (`problemReply`).
 * @see RFC 9457
 */
import type { FastifyReply } from 'fastify';

export interface FieldError {
  /** Where: a member of the body such as `resources[0].scope`, a query or path parameter, a header. */
  field: string;
  /** What would be right. */
  message: string;
}

/** Every kind of problem, with its status and title. `type` on the wire is `urn:bailiwick:problem:<kind>`. */
export const problemKinds = {
  'bad-request': { status: 400, title: 'The request is not understood' },
  'invalid-token': { status: 401, title: 'No valid token' },
  'insufficient-scope': { status: 403, title: 'The token does not allow this' },
  'unknown-session': { status: 404, title: 'There is no such session' },
  'not-found': { status: 404, title: 'There is no such thing' },
  'method-not-allowed': { status: 405, title: 'This method is not offered here' },
  conflict: { status: 409, title: 'This conflicts with what is there' },
  'precondition-failed': { status: 412, title: 'It was changed meanwhile' },
  'too-large': { status: 413, title: 'The request is too large' },
  'unsupported-media-type': { status: 415, title: 'The content type is not understood' },
  invalid: { status: 422, title: 'A value can not be accepted' },
  'idempotency-key-reused': { status: 422, title: 'The idempotency key was used for another request' },
  'too-many': { status: 429, title: 'Too many, or too often' },
  unavailable: { status: 503, title: 'Not now' },
  internal: { status: 500, title: 'Something went wrong here' },
} as const;

export type ProblemKind = keyof typeof problemKinds;

/** A refusal or failure that the caller may read. Nothing secret goes into it. */
export class Problem extends Error {
  readonly kind: ProblemKind;
  readonly errors: readonly FieldError[];
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    kind: ProblemKind,
    detail: string,
    more: { errors?: FieldError[]; headers?: Record<string, string> } = {},
  ) {
    super(detail);
    this.name = 'Problem';
    this.kind = kind;
    this.errors = more.errors ?? [];
    this.headers = more.headers ?? {};
  }
}

/** The body of a problem. @see RFC 9457 §3.1 */
export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail: string;
  errors?: readonly FieldError[];
}

export function problemBody(problem: Problem): ProblemBody {
  const { status, title } = problemKinds[problem.kind];
  return {
    type: `urn:bailiwick:problem:${problem.kind}`,
    title,
    status,
    detail: problem.message,
    ...(problem.errors.length > 0 && { errors: problem.errors }),
  };
}

/** Sends a problem as problem details. */
export function problemReply(reply: FastifyReply, problem: Problem): FastifyReply {
  const body = problemBody(problem);
  return reply
    .code(body.status)
    .headers({ 'cache-control': 'no-store', ...problem.headers })
    .header('content-type', 'application/problem+json')
    .send(JSON.stringify(body));
}

/** What was written can't be read as the API describes it: one field or several. */
export function badRequest(errors: FieldError[], detail = sentenceOf(errors)): Problem {
  return new Problem('bad-request', detail, { errors });
}

/** It can be read, but not accepted as things stand: a reference to nothing, a rule between fields. */
export function invalid(field: string, message: string): Problem {
  return new Problem('invalid', sentenceOf([{ field, message }]), { errors: [{ field, message }] });
}

/** Something else is there already, or in the way. */
export function conflict(field: string, message: string): Problem {
  return new Problem('conflict', sentenceOf([{ field, message }]), { errors: [{ field, message }] });
}

/** The same answer for what never was and for what belongs to somebody else. */
export function notFound(noun: string, id: string): Problem {
  return new Problem('not-found', `there is no ${noun} ${printable(id)} here`);
}

function sentenceOf(errors: readonly FieldError[]): string {
  return errors.map(({ field, message }) => `${field} ${message}`).join('; ');
}

/** What a caller wrote, fit to be repeated: short, in quotes, nothing invisible. */
export function printable(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return JSON.stringify(cut.toWellFormed()).replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
}

/** The same for a name that a caller made up: as it is, if it looks like one. */
export const printableName = (name: string): string => (/^[\w$.@:/-]{1,80}$/.test(name) ? name : printable(name));
