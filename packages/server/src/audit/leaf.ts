import { createCipheriv, createDecipheriv, createHmac, hash } from 'node:crypto';
import { canonicalJson } from '@bailiwick/protocol';
import { rfc3339 } from '../lib/clock.ts';
import type { Random } from '../lib/random.ts';
import { type AuditEvent, personalFields } from './event.ts';

/** Salt and value of each personal field: what opens its commitment. */
export type Openings = Record<string, [salt: string, value: unknown]>;

/**
 * The leaf's bytes: RFC 8785 canonical JSON of the event, personal fields as commitments, absent members absent.
 * @see RFC 8785
 */
export function leafOf(
  deps: { random: Random },
  event: AuditEvent,
  stamp: { id: string; at: number },
): { leaf: string; openings: Openings } {
  const openings: Openings = {};
  const commitments: Record<string, string> = {};
  for (const field of personalFields) {
    const value = event.personal[field];
    if (value === undefined) continue;
    const salt = deps.random.bytes(16).toString('base64url');
    openings[field] = [salt, value];
    commitments[field] = commitment(field, salt, value);
  }
  const leaf = canonicalJson({
    // in the order of canonical JSON, so that nothing has to be sorted
    agent: event.agent,
    at: rfc3339(stamp.at),
    commitments,
    decided_on: event.decided_on,
    id: stamp.id,
    instance: event.instance,
    jti: event.jti,
    org: event.org,
    outcome: event.outcome,
    reason: event.reason,
    resource: event.resource,
    target: event.target,
    type: event.type,
    v: 1,
  });
  return { leaf, openings };
}

/**
 * SHA-256 over the canonical JSON of `[field, salt, value]`, base64url. With 128 bits of salt it says nothing of
 * the value until the salt is shown, and without the salt it never will.
 */
export function commitment(field: string, salt: string, value: unknown): string {
  return hash('sha256', canonicalJson([field, salt, value]), 'base64url');
}

/** AES-256-GCM over the openings, bound to the event's id: `iv || ciphertext || tag`, base64url. */
export function seal(deps: { random: Random }, key: Buffer, eventId: string, openings: Openings): string {
  const iv = deps.random.bytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  cipher.setAAD(Buffer.from(eventId));
  const text = cipher.update(JSON.stringify(openings), 'utf8');
  return Buffer.concat([iv, text, cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** @throws Error when the key is another one or the text was altered */
export function unseal(key: Buffer, eventId: string, sealed: string): Openings {
  const bytes = Buffer.from(sealed, 'base64url');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
  decipher.setAAD(Buffer.from(eventId));
  decipher.setAuthTag(bytes.subarray(-16));
  const text = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
  return JSON.parse(text.toString('utf8')) as Openings;
}

/** Finds equal values without showing them: HMAC-SHA256 under the deployment's index key, cut to 128 bits. */
export function blindIndex(key: Buffer, field: string, value: string): string {
  return createHmac('sha256', key).update(`${field}\0${value}`).digest().subarray(0, 16).toString('base64url');
}
