/** Forms as OAuth has them: strict about what a client could not have meant. @see RFC 6749 §3.2, appendix B */

import type { Form } from '../decide/plan.ts';
import { OAuthError } from '../lib/oauth-error.ts';

const parametersAtMost = 64;
/** RFC 8707 lets a client name several resources; everything else is said once. */
const mayRepeat = new Set(['resource', 'audience']);

/**
 * Reads an `application/x-www-form-urlencoded` body.
 * @throws OAuthError `invalid_request` for what is no form, repeats a parameter, or isn't percent-encoded UTF-8
 */
export function parseForm(body: Buffer): Form {
  const form = new Map<string, string[]>();
  const text = body.toString('latin1');
  if (!isVisibleAscii(text)) throw new OAuthError('invalid_request', 'the body must be percent-encoded ASCII');
  if (text === '') return form;
  const pairs = text.split('&', parametersAtMost + 1);
  if (pairs.length > parametersAtMost) throw new OAuthError('invalid_request', 'there are too many parameters');
  for (const pair of pairs) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = decoded(at === -1 ? pair : pair.slice(0, at));
    const value = at === -1 ? '' : decoded(pair.slice(at + 1));
    const values = form.get(name);
    if (values === undefined) form.set(name, [value]);
    else if (mayRepeat.has(name)) values.push(value);
    else throw new OAuthError('invalid_request', `${printable(name)} must not be repeated`);
  }
  return form;
}

/** The one value of a parameter; absent and empty are the same. */
export function single(form: Form, name: string): string | undefined {
  const value = form.get(name)?.[0];
  return value === '' ? undefined : value;
}

function decoded(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    throw new OAuthError('invalid_request', 'a parameter is not percent-encoded UTF-8');
  }
}

function isVisibleAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x21 || code > 0x7e) return false;
  }
  return true;
}

const printable = (name: string): string => (/^[\w.:-]{1,64}$/.test(name) ? name : 'a parameter');
