import { ProtocolError } from './errors.ts';

/** One challenge of a `WWW-Authenticate` header. Parameter names are in lower case. */
export interface Challenge {
  scheme: string;
  params: Record<string, string>;
}

const maxHeaderLength = 16_384;
const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const token68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const spaces = /[ \t]*/y;
const separators = /[ \t,]*/y;

/**
 * Writes a challenge; parameters that are `undefined` are left out.
 * @throws ProtocolError `malformed` for a name that is no token or a value that isn't printable ASCII: nothing can break out into the next header
 * @see RFC 9110 §11.2
 */
export function formatChallenge(scheme: string, params: Record<string, string | undefined>): string {
  if (!isToken(scheme)) throw new ProtocolError('malformed', 'the scheme is not a token');
  const parts: string[] = [];
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined) continue;
    if (!isToken(name)) throw new ProtocolError('malformed', 'the name of a challenge parameter is not a token');
    if (!/^[\x20-\x7e]*$/.test(value))
      throw new ProtocolError('malformed', 'a challenge parameter is not printable ASCII');
    parts.push(`${name}="${value.replace(/["\\]/g, '\\$&')}"`);
  }
  return parts.length === 0 ? scheme : `${scheme} ${parts.join(', ')}`;
}

function isToken(text: string): boolean {
  token.lastIndex = 0;
  return token.test(text) && token.lastIndex === text.length;
}

/**
 * Reads a `WWW-Authenticate` header, of one line or several joined by commas. A token68 stands as the parameter `token68`.
 * @throws ProtocolError `malformed`
 * @see RFC 9110 §11.6.1
 */
export function parseChallenges(header: string): Challenge[] {
  if (typeof header !== 'string' || header.length > maxHeaderLength) {
    throw new ProtocolError('malformed', 'the challenge is too long');
  }
  const challenges: Challenge[] = [];
  let current: Challenge | undefined;
  let at = skip(separators, header, 0);
  while (at < header.length) {
    const word = take(token, header, at);
    if (word === undefined) throw unreadable();
    const afterWord = at + word.length;
    const equals = skip(spaces, header, afterWord);
    if (current !== undefined && header[equals] === '=') {
      at = readParameter(header, word, skip(spaces, header, equals + 1), current);
    } else {
      current = { scheme: word, params: Object.create(null) as Record<string, string> };
      challenges.push(current);
      at = readToken68(header, afterWord, current);
      if (at < header.length && !/[ \t,]/.test(header[at] as string)) throw unreadable();
    }
    at = separated(header, at, current);
  }
  return challenges;
}

/** After a parameter comes a comma or the end; after a scheme, spaces will do. */
function separated(header: string, at: number, current: Challenge): number {
  const end = skip(separators, header, at);
  const needsComma = Object.keys(current.params).length > 0;
  if (end < header.length && needsComma && !header.slice(at, end).includes(',')) throw unreadable();
  return end;
}

function readParameter(header: string, name: string, at: number, challenge: Challenge): number {
  const key = name.toLowerCase();
  if (key in challenge.params) throw new ProtocolError('malformed', 'a challenge has a parameter twice');
  if (header[at] === '"') {
    const [value, end] = readQuoted(header, at + 1);
    challenge.params[key] = value;
    return end;
  }
  const value = take(token, header, at);
  if (value === undefined) throw unreadable();
  challenge.params[key] = value;
  return at + value.length;
}

function readQuoted(header: string, from: number): [value: string, end: number] {
  let value = '';
  for (let at = from; at < header.length; at++) {
    const letter = header[at] as string;
    if (letter === '"') return [value, at + 1];
    if (letter === '\\') {
      at++;
      if (at >= header.length) break;
      value += header[at];
    } else value += letter;
  }
  throw unreadable();
}

/** `scheme token68`: a word that is neither followed by `=` and a value nor the next scheme. */
function readToken68(header: string, at: number, challenge: Challenge): number {
  const start = skip(spaces, header, at);
  if (start === at) return at;
  const word = take(token68, header, start);
  if (word === undefined) return at;
  challenge.params.token68 = word;
  return start + word.length;
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  pattern.test(text);
  return pattern.lastIndex;
}

function take(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

function unreadable(): ProtocolError {
  return new ProtocolError('malformed', 'the WWW-Authenticate header cannot be read');
}
