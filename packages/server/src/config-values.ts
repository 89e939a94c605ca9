/** What values of settings look like, and how a setting is told about. */
import { isIP } from 'node:net';
import { areNetworks, zonesOf } from '@bailiwick/protocol';
import { z } from 'zod';
import type { SettingMeta } from './lib/settings.ts';

/** What documentation, errors and the command line say of a setting. */
export const about = (meta: SettingMeta) => meta as unknown as z.GlobalMeta;

/** Whole seconds within bounds, and how a person reads that. */
export const seconds = (min: number, max: number) => z.number().int().min(min).max(max);
export const wholeSeconds = (min: number, max: number) => `a whole number of seconds from ${min} to ${max}`;

/** RFC 8414 §2: an https URL without query or fragment; http on this machine alone; never with a slash at its end. */
export function isIssuer(value: string): boolean {
  if (!URL.canParse(value) || /[\s?#\\]/.test(value) || value.endsWith('/')) return false;
  const url = new URL(value);
  if (url.username !== '' || url.password !== '') return false;
  // exactly as a URL parser writes it, or two spellings of one issuer would be about
  const canonical = url.pathname === '/' ? url.origin : url.origin + url.pathname;
  if (value !== canonical || /%|\/\/|\/\.\.?(\/|$)/.test(url.pathname)) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
}

/** Whether a host name or address leads to this machine and nowhere else. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** An address or network of somebody: everybody is no proxy. */
export function isCidr(value: string): boolean {
  return areNetworks([value]) && !/\/0+$/.test(value);
}

/** Names of zones, each with networks that are in no other. */
export function areZones(zones: Record<string, string[]>): boolean {
  try {
    zonesOf(zones);
    return true;
  } catch {
    return false;
  }
}

/** A day, as 2027-03-31. */
export function isDate(value: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value));
}

/** 32 bytes, however they are written. */
export function isEncryptionKey(value: string): boolean {
  return encryptionKeyOf(value) !== undefined;
}

/** 32 bytes written as hex, base64 or base64url; undefined for anything else. */
export function encryptionKeyOf(text: string): Buffer | undefined {
  const bytes = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64');
  return bytes.length === 32 && /^[\w+/=-]+$/.test(text) ? bytes : undefined;
}
