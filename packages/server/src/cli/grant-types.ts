/** How agents get tokens, in words that can be typed. */

const urn = 'urn:ietf:params:oauth:grant-type:';

export const grantOptions = {
  grant: {
    value: 'GRANT',
    many: true,
    description:
      'How it may get tokens: client_credentials (for itself), token-exchange (on a mandate, or on a token of somebody else). Replaces the whole list; ' +
      'client_credentials unless said otherwise.',
  },
} as const;

/** Grant types by their names, short or whole; undefined where none was named. */
export function grantsFrom({ grant }: { grant: readonly string[] }): string[] | undefined {
  if (grant.length === 0) return undefined;
  return grant.map((name) => (name === 'client_credentials' || name.includes(':') ? name : `${urn}${name}`));
}

/** @see RFC 6755 §3 */
export const grantsInWords = (grants: readonly string[]): string =>
  grants.map((type) => (type.startsWith(urn) ? type.slice(urn.length) : type)).join(', ');
