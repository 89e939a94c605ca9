import { createHash } from 'node:crypto';
import { ProtocolError } from './errors.ts';
import { encodeHeader, parseCompact } from './jws.ts';
import { type Signer, signWith } from './signer.ts';

/** The header's `typ`: nothing else that is signed here can be taken for a task, nor a task for anything else. */
export const taskJwtType = 'task+jwt';

export interface TaskJwtInput {
  /** The `client_id` of whoever signs. */
  orchestrator: string;
  /** The `client_id` of the agent that it is for. */
  agent: string;
  /** Exactly as the issuer calls itself. */
  issuer: string;
  /** Names the task: signed again under the same one, it is the same task. */
  jti: string;
  /** The present, in ms. */
  now: number;
  /** How long it can be presented; 15 minutes at most. 5 by default. */
  presentableSeconds?: number;
  /** What it is about, as `POST /tasks` takes it, and `ends_at`. */
  task: Readonly<Record<string, unknown>>;
}

/** Signs a task that travels with a token request, in place of opening it at the server. */
export async function createTaskJwt(signer: Signer, input: TaskJwtInput): Promise<string> {
  const { orchestrator, agent, issuer, jti, now, presentableSeconds = 300, task } = input;
  const iat = Math.floor(now / 1000);
  const claims = { iss: orchestrator, sub: agent, aud: issuer, jti, iat, exp: iat + presentableSeconds, task };
  return signWith(signer, encodeHeader({ typ: taskJwtType, alg: signer.alg, kid: signer.kid }), claims);
}

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'; // Crockford's base32, as in all ids

/**
 * The id of a signed task, which whoever knows signer and `jti` knows as well: 130 bits of SHA-256, so that nobody finds
 * another pair with the same.
 */
export function signedTaskId(orchestrator: string, jti: string): string {
  const digest = createHash('sha256').update(`${orchestrator}\0${jti}`).digest();
  let text = '';
  for (let bit = 0; text.length < 26; bit += 5) {
    text += alphabet[(digest.readUInt16BE(bit >> 3) >> (11 - (bit & 7))) & 31];
  }
  return `tsk_${text}`;
}

/**
 * The id of the task in this JWT, which nobody has verified yet.
 * @throws ProtocolError `malformed`, …
 */
export function taskIdIn(jwt: string): string {
  const { iss, jti } = parseCompact(jwt).payload;
  if (typeof iss === 'string' && typeof jti === 'string') return signedTaskId(iss, jti);
  throw new ProtocolError('malformed', 'a signed task has iss and jti');
}
