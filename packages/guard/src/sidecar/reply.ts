import type { Caller } from '../caller.ts';
import type { Allowed } from '../decide.ts';
import type { Answer } from '../refusal.ts';
import { type DialectName, dialects } from './dialect.ts';

/** What goes back to the proxy. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** What the service behind the proxy learns of its caller. All of them stand in every answer, so that none of a client's gets past. */
const identity: Record<string, (caller: Caller) => string | undefined> = {
  'x-bailiwick-agent': (caller) => caller.agent,
  'x-bailiwick-subject': (caller) => caller.subject,
  'x-bailiwick-person': (caller) => caller.person,
  'x-bailiwick-chain': (caller) => caller.chain.map(({ subject }) => subject).join(' '),
  'x-bailiwick-organization': (caller) => caller.organization,
  'x-bailiwick-scope': (caller) => caller.scope.join(' '),
  'x-bailiwick-task': (caller) => caller.task?.id,
  'x-bailiwick-operation': (caller) => caller.operation,
  'x-bailiwick-txn': (caller) => caller.transaction?.txn,
  'x-bailiwick-requesters': (caller) => caller.transaction?.requestedBy.join(' '),
};

/** The names of those headers, for what has to remove them. */
export const identityHeaders: readonly string[] = Object.keys(identity);

/** Lets the request through. 200, since Envoy takes nothing else for a yes. */
export function allowedReply(dialect: DialectName, { caller, headers }: Allowed): Reply {
  const told = Object.entries(identity).map(([name, of]) => [name, headerValue(of(caller) ?? '')]);
  return {
    status: 200,
    headers: {
      'cache-control': 'no-store',
      ...headers,
      ...Object.fromEntries(told),
      // Envoy takes these off the request: what the service doesn't have it can't leak or pass on.
      ...(dialect === 'envoy' ? { 'x-envoy-auth-headers-to-remove': 'authorization,dpop' } : {}),
    },
    body: '',
  };
}

/** Text as a header's value: printable ASCII, what isn't (and `%`, and blanks at the ends) percent-encoded as UTF-8. */
export function headerValue(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\x20-\x24\x26-\x7e]+|%+|^ +| +$/g, (odd) =>
      [...Buffer.from(odd)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    );
}

/**
 * Refuses. nginx knows three kinds of answers, and takes nothing of them but headers: there the real status and the problem travel in such. To Envoy a 5xx
 * could mean to let the request through (`failure_mode_allow`): there it is a 403.
 */
export function refusedReply(name: DialectName, { status, headers, body, problem }: Answer): Reply {
  const { threeStatuses, never5xx } = dialects[name];
  const plain: Record<string, string> = {};
  // One line for all challenges: nginx before 1.23 reads no second one.
  for (const [header, value] of Object.entries(headers))
    plain[header] = Array.isArray(value) ? value.join(', ') : value;
  if (threeStatuses) {
    plain['x-bailiwick-status'] = String(status);
    plain['x-bailiwick-problem'] = asciiJson(problem ?? {});
    return { status: status === 401 ? 401 : 403, headers: plain, body };
  }
  return { status: never5xx && status >= 500 ? 403 : status, headers: plain, body };
}

/** Room for more would need more than nginx keeps for an answer's headers. */
const longestProblem = 6000;

/** JSON that a header can carry. What is too long for that loses its details first. */
function asciiJson(problem: object): string {
  const written = ascii(problem);
  if (written.length <= longestProblem) return written;
  const { authorization_details: _, requirements: __, detail, ...short } = problem as Record<string, unknown>;
  const shortened = ascii({ ...short, detail: `${String(detail).slice(0, 500)}…` });
  return shortened.length <= longestProblem ? shortened : ascii({ status: short.status, title: short.title });
}

function ascii(value: object): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
