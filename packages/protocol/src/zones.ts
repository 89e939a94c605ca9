import { formatPrefix, isInside, masked, type Prefix, readAddress, readNetwork } from './address.ts';
import { isZoneName } from './context.ts';

/** Which networks are which compute zone. */
export interface Zones {
  /** The zone that an address is in, by its name. */
  of(address: string): string | undefined;
  /** Whether the networks of this zone are known: who is in none of them is not in it. */
  knows(zone: string): boolean;
}

/**
 * Reads which networks are which compute zone. Where networks lie in one another, the smallest tells.
 * @throws Error naming what is no name of a zone, no network, or a network of two zones
 */
export function zonesOf(named: Readonly<Record<string, readonly string[]>>): Zones {
  const known: { prefix: Prefix; zone: string }[] = [];
  const owners = new Map<string, string>();
  for (const [zone, list] of Object.entries(named)) {
    if (!isZoneName(zone))
      throw new Error(`"${zone}" is no name of a zone: use letters, digits, dots, hyphens, underscores`);
    for (const entry of list) {
      const read = readNetwork(entry);
      if (read === undefined)
        throw new Error(`"${entry}" of zone ${zone} is no address and no network like 10.1.0.0/16`);
      const prefix = masked(read);
      const other = owners.get(formatPrefix(prefix));
      if (other !== undefined && other !== zone) throw new Error(`${entry} can't be in both ${other} and ${zone}`);
      owners.set(formatPrefix(prefix), zone);
      known.push({ prefix, zone });
    }
  }
  known.sort((a, b) => b.prefix.length - a.prefix.length);
  return {
    knows: (zone) => known.some((each) => each.zone === zone),
    of(address) {
      if (known.length === 0) return undefined;
      const one = readAddress(address);
      return one && known.find(({ prefix }) => isInside(one, prefix))?.zone;
    },
  };
}
