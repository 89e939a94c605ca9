import { type ContextDimension, contextRefusal } from '@bailiwick/protocol';
import type { Places } from './places.ts';
import { Refusal } from './refusal.ts';
import type { VerifiedToken } from './tokens.ts';

/** What is said to who is outside: where not to be, and nothing of where to be. */
const outside: Record<ContextDimension, string> = {
  ip: 'The access token may not be used from this address.',
  country: 'The access token may not be used from the country of this address.',
  zone: 'The access token may not be used from this zone.',
  hours: 'The access token may not be used at this hour.',
};

/**
 * Holds a request against where and when its token may be used (`ctx`). Who can't be found is outside.
 * @param now milliseconds
 * @throws Refusal `invalid_token`
 */
export function checkContext(
  places: Places,
  { context, claims }: Pick<VerifiedToken, 'context' | 'claims'>,
  address: string | undefined,
  now: number,
): void {
  if (context === undefined) return;
  const dimension = contextRefusal(context, {
    address,
    get country() {
      return places.countryOf(address);
    },
    get zone() {
      return places.zoneOf(address, claims.zone);
    },
    now,
  });
  if (dimension !== undefined) throw new Refusal('invalid_token', outside[dimension], { reason: `ctx.${dimension}` });
}
