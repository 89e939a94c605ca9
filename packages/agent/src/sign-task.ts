import { createTaskJwt, signedTaskId } from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';
import { type AgentOptions, checkClientId, commonDeps, signerOf } from './options.ts';
import { lifetimeOf, type TaskWork, wireOf } from './task.ts';

export interface SignTaskOptions extends TaskWork {
  /** Exactly as the issuer calls itself. */
  issuer: string;
  /** The id of the orchestrator that signs, and a key that is registered for it. */
  clientId: string;
  key: NonNullable<AgentOptions['key']>;
  /** The id of the agent that it is for: nobody else can present it. */
  agent: string;
  /** When the task ends, in place of `lifetimeSeconds`. In ms. */
  endsAt?: number;
  /** Names the task. Signed again under the same name, with all else the same, it is the same task. Left out, a new one. */
  jti?: string;
  /** For how long it can be presented for the first time. 300 by default, 900 at most. */
  presentableSeconds?: number;
  /** The present, in ms. */
  now?: () => number;
}

/**
 * Signs a task in place of opening it: for an orchestrator that can't, or needn't, reach the issuer. The agent that it is for
 * presents it with its token requests (`agent.task({ jwt }, …)`).
 * @throws BailiwickError `bad_option`, or what is wrong with the key
 */
export async function signTask(options: SignTaskOptions): Promise<{ id: string; jwt: string }> {
  const { issuer, clientId, key, agent, jti, presentableSeconds = 300, now, endsAt, ...work } = options;
  checkClientId(clientId);
  if (!(presentableSeconds > 0 && presentableSeconds <= 900)) {
    throw new BailiwickError('bad_option', 'presentableSeconds must be from 1 to 900');
  }
  const world = commonDeps(issuer, now === undefined ? {} : { now });
  const time = world.now();
  const name = jti ?? world.uuid();
  const ends_at = new Date(endsAt ?? time + lifetimeOf(work) * 1000).toISOString();
  const task = { ...wireOf(work), ends_at };
  const signing = { orchestrator: clientId, agent, issuer, jti: name, now: time, presentableSeconds, task };
  return { id: signedTaskId(clientId, name), jwt: await createTaskJwt(signerOf(key, 'key'), signing) };
}
