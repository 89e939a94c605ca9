import { createCipheriv, createDecipheriv, createHmac, hash } from 'node:crypto';
import { canonicalJson } from '@bailiwick/protocol';
import { rfc3339 } from '../lib/clock.ts';
import type { Random } from '../lib/random.ts';
import { type AuditEvent, personalFields } from './event.ts';

/** What is personal in an event, by field. */
export type Personal = AuditEvent['personal'];

/** Salt and value of each personal field: what opens its commitment. */
export type Openings = Record<string, [salt: string, value: unknown]>;

/**
 * The leaf's bytes: RFC 8785 canonical JSON of the event, personal fields as commitments, absent members absent.
 * @param key of the person whose event it is: the salts come from it
 * @see RFC 8785
 */
export function leafOf(key: Buffer, event: AuditEvent, stamp: { id: string; at: number }): string {
  const commitments: Record<string, string> = {};
  for (const [field, [salt, value]] of Object.entries(openingsOf(key, stamp.id, event.personal))) {
    commitments[field] = commitment(field, salt, value);
  }
  return canonicalJson({
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
    trace: event.trace,
    type: event.type,
    v: 1,
  });
}

/**
 * SHA-256 over the canonical JSON of `[field, salt, value]`, base64url. With 132 bits of salt it says nothing of
 * the value until the salt is shown, and without the salt it never will.
 */
export function commitment(field: string, salt: string, value: unknown): string {
  return hash('sha256', canonicalJson([field, salt, value]), 'base64url');
}

/** 132 bits in base64url. */
const saltLength = 22;
const saltsInBlock = 3;

/** Salts: SHA3-512 over the key and what they are for. A sponge may be keyed so, as KMAC is (NIST SP 800-185). */
const saltBlock = (keyText: string, n: number, eventId: string) =>
  hash('sha3-512', `${keyText} ${n} ${eventId}`, 'base64url');

/**
 * What opens an event's commitments. Salts are not kept: they are made from the person's key and the event's id, each
 * unlike any other, so that with the key they are gone too.
 */
export function openingsOf(key: Buffer, eventId: string, personal: Personal): Openings {
  const openings: Openings = {};
  const keyText = key.toString('base64url');
  let block = '';
  let used = 0;
  for (const field of personalFields) {
    const value = personal[field];
    if (value === undefined) continue;
    const at = used++ % saltsInBlock;
    if (at === 0) block = saltBlock(keyText, Math.floor(used / saltsInBlock), eventId);
    openings[field] = [block.slice(at * saltLength, (at + 1) * saltLength), value];
  }
  return openings;
}

/** AES-256-GCM over what is personal, bound to the id that it is kept under: `iv || ciphertext || tag`, base64url. */
export function seal(deps: { random: Random }, key: Buffer, id: string, personal: Personal): string {
  const iv = deps.random.bytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  cipher.setAAD(Buffer.from(id));
  const text = cipher.update(canonicalJson(personal), 'utf8');
  return Buffer.concat([iv, text, cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** @throws Error when the key is another one or the text was altered */
export function unseal(key: Buffer, id: string, sealed: string): Personal {
  const bytes = Buffer.from(sealed, 'base64url');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
  decipher.setAAD(Buffer.from(id));
  decipher.setAuthTag(bytes.subarray(-16));
  const text = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]);
  return JSON.parse(text.toString('utf8')) as Personal;
}

/** Finds equal values without showing them: HMAC-SHA256 under a key that nobody else has, cut to 128 bits. */
export function blindIndex(key: Buffer, field: string, value: string): string {
  return createHmac('sha256', key).update(`${field}\0${value}`).digest().subarray(0, 16).toString('base64url');
}
