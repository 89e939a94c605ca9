/** DNS names that certificates of instances carry beside the SPIFFE ID, and those that none ever may. */
import type { Config } from '../config.ts';

/** The hosts under which clients know this server, as URLs write them (RFC 3986: an IPv6 address without its brackets). */
export function ownHosts(config: Pick<Config, 'issuer'> & { mtls: Pick<Config['mtls'], 'url'> }): string[] {
  const bases = [config.issuer, config.mtls.url].filter((base) => base !== undefined);
  return bases.map((base) => new URL(base).hostname.replace(/^\[(.*)\]$/, '$1'));
}

/** Whether a name, or a pattern of one label (`*.example.com`), stands for this DNS name. */
export function coversName(pattern: string, name: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === name;
  const at = name.indexOf('.');
  return at > 0 && name.slice(at) === pattern.slice(1);
}

/**
 * Why no instance may have this name, or pattern: with a certificate for it, it would be this server, or any server on the same machine,
 * to whoever believes our authority for host names. Undefined if it may.
 * @returns a sentence that completes "dns_names …"
 */
export function whyReserved(config: Parameters<typeof ownHosts>[0], pattern: string): string | undefined {
  // as URLs tell addresses from names: by what the last label is
  if (/(^|\.)(\d+|0x[0-9a-f]*)$/.test(pattern)) return 'must not be an address';
  if (/(^|\.)localhost(\.localdomain)?$/.test(pattern)) return 'must not be localhost, which is every machine';
  const isOurs = ownHosts(config).some((host) => coversName(pattern, host.replace(/\.$/, '')));
  return isOurs ? 'must not stand for a host of this server' : undefined;
}
