import { type AccessTokenClaims, networks } from '@bailiwick/protocol';
import { Refusal } from './refusal.ts';

const unreadable = 'The access token is limited in a way that this resource cannot check.';

/**
 * Holds a request against where its token may be used (`ctx`). A condition that this guard can't check is not taken as met.
 * @throws Refusal `invalid_token`
 */
export function checkContext(ctx: AccessTokenClaims['ctx'], address: string | undefined): void {
  if (ctx === undefined) return;
  if (typeof ctx !== 'object' || ctx === null || Array.isArray(ctx))
    throw new Refusal('invalid_token', unreadable, { reason: 'ctx' });
  const unknown = Object.keys(ctx).find((name) => name !== 'ip');
  if (unknown !== undefined) {
    throw new Refusal('invalid_token', unreadable, { reason: `ctx.${unknown}` });
  }
  const { ip } = ctx;
  if (ip === undefined) return;
  if (address === undefined || !within(ip, address)) {
    throw new Refusal('invalid_token', 'The access token may not be used from this address.', { reason: 'ctx.ip' });
  }
}

function within(list: unknown, address: string): boolean {
  try {
    return networks(list as string[])(address);
  } catch {
    return false;
  }
}
