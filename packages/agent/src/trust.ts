import { X509Certificate } from 'node:crypto';
import { isJsonObject } from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';
import { type Asking, ask } from './http.ts';
import { singleFlight } from './single-flight.ts';

const keptMs = 3_600_000;
const maxAuthorities = 50;

/**
 * The certificates in PEM text, or in a list of such texts, each by itself.
 * @throws BailiwickError `bad_option`
 */
export function certificatesIn(pem: string | readonly string[], what: string): string[] {
  const texts = typeof pem === 'string' ? [pem] : pem;
  const found = texts.flatMap((text) => {
    const blocks = String(text).match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g);
    if (blocks === null || !blocks.every(isCertificate)) {
      throw new BailiwickError('bad_option', `${what} is no certificate`, {
        hint: 'give the text of a PEM file, not its path: -----BEGIN CERTIFICATE-----…',
      });
    }
    return blocks;
  });
  return found;
}

/** The X.509 authorities of a SPIFFE bundle as PEM; what can't be read as one is left out. @see SPIFFE Trust Domain and Bundle §4 */
export function authoritiesIn(bundle: unknown): string[] {
  const keys = isJsonObject(bundle) && Array.isArray(bundle.keys) ? bundle.keys.slice(0, maxAuthorities) : [];
  return keys.flatMap((key) => {
    if (!isJsonObject(key) || key.use !== 'x509-svid' || !Array.isArray(key.x5c) || typeof key.x5c[0] !== 'string')
      return [];
    const pem = `-----BEGIN CERTIFICATE-----\n${key.x5c[0].match(/.{1,64}/g)?.join('\n')}\n-----END CERTIFICATE-----\n`;
    return isCertificate(pem) && new X509Certificate(pem).ca ? [pem] : [];
  });
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

/**
 * The authorities of the issuer's trust domain, as the issuer publishes them, read when first needed and once an hour.
 * None where it publishes none: then its mutual TLS has a certificate that others vouch for.
 */
export function createBundleReader(
  deps: Asking & { issuer: string; now: () => number },
): () => Promise<readonly string[]> {
  const flight = singleFlight<readonly string[]>();
  let known: { authorities: readonly string[]; until: number } | undefined;
  return async () => {
    if (known !== undefined && deps.now() < known.until) return known.authorities;
    return flight('bundle', async () => {
      const { status, json } = await ask(
        deps,
        "reading the issuer's trust bundle",
        new URL(`${deps.issuer.replace(/\/$/, '')}/spiffe/bundle`),
      );
      const authorities = status === 200 ? authoritiesIn(json) : [];
      known = { authorities, until: deps.now() + keptMs };
      return authorities;
    });
  };
}
