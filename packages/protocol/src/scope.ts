import { ProtocolError } from './errors.ts';

const maxScopeLength = 8192;

/**
 * Reads a scope string: the distinct tokens, in their order.
 * @throws ProtocolError `invalid_scope` unless it is one or more tokens with single spaces between
 * @see RFC 6749 §3.3
 */
export function parseScope(scope: string): string[] {
  if (typeof scope !== 'string' || scope.length > maxScopeLength) {
    throw new ProtocolError('invalid_scope', 'scope is not a string of reasonable length');
  }
  const tokens = scope.split(' ');
  for (const token of tokens) {
    if (!isScopeToken(token)) {
      throw new ProtocolError(
        'invalid_scope',
        'scope must be tokens of visible ASCII without " and \\, with single spaces between',
      );
    }
  }
  return tokens.length === 1 ? tokens : [...new Set(tokens)];
}

/** Is this one scope token: `1*( %x21 / %x23-5B / %x5D-7E )`? */
export function isScopeToken(token: string): boolean {
  if (token.length === 0) return false;
  for (let i = 0; i < token.length; i++) {
    const code = token.charCodeAt(i);
    if (code < 0x21 || code > 0x7e || code === 0x22 || code === 0x5c) return false;
  }
  return true;
}

/**
 * Writes scope tokens as one string, each once, in the given order.
 * @throws ProtocolError `invalid_scope`
 */
export function formatScope(scopes: readonly string[]): string {
  for (const token of scopes) {
    if (!isScopeToken(token)) throw new ProtocolError('invalid_scope', 'this is not a scope token');
  }
  return [...new Set(scopes)].join(' ');
}

/** Is every scope of `inner` in `outer`? */
export function isSubset(inner: readonly string[], outer: readonly string[]): boolean {
  return inner.every((scope) => outer.includes(scope));
}

/** The scopes of `left` that are in `right` too, each once, in the order of `left`. */
export function intersect(left: readonly string[], right: readonly string[]): string[] {
  return [...new Set(left)].filter((scope) => right.includes(scope));
}

/** All scopes of both, each once, those of `left` first. */
export function union(left: readonly string[], right: readonly string[]): string[] {
  return [...new Set([...left, ...right])];
}
