/** Our own trust bundle, as others read it and as we use it ourselves. */
import type { CaDeps } from '../keys/ca.ts';
import { bundleContent } from '../keys/ca.ts';
import { remembered } from '../lib/remember.ts';
import { type Bundle, type BundleDocument, parseBundle } from '../lib/trust-bundle.ts';

export { type Bundle, type BundleDocument, parseBundle } from '../lib/trust-bundle.ts';

/**
 * The trust bundle of our own domain.
 * @param version of the registry, as `asOf` reads it
 * @see SPIFFE Trust Domain and Bundle §4
 */
export async function trustBundle(deps: CaDeps, version: number): Promise<BundleDocument> {
  const { sequence, refreshHintSeconds, roots, jwtKeys } = await bundleContent(deps, version);
  return {
    keys: [
      ...roots.map(({ certificate }) => ({
        use: 'x509-svid',
        ...certificate.publicJwk,
        x5c: [certificate.der.toString('base64')],
      })),
      ...jwtKeys.map(({ kid, jwk: { kty, crv, x, y } }) => ({ use: 'jwt-svid', kid, kty, crv, x, y })),
    ],
    spiffe_sequence: sequence,
    spiffe_refresh_hint: refreshHintSeconds,
  };
}

/** The roots as PEM, for those who read no bundles: nginx, openssl. */
export async function rootsPem(deps: CaDeps, version: number): Promise<string> {
  const { roots } = await bundleContent(deps, version);
  return roots.map(({ pem }) => pem).join('');
}

const parsed = new WeakMap<object, ReturnType<typeof remembered<Bundle>>>();

/** Our own bundle, read as strictly as everybody else's. The same object as long as it says the same. */
export async function ownBundle(deps: CaDeps, version: number): Promise<Bundle> {
  let memory = parsed.get(deps.keys);
  if (memory === undefined) {
    memory = remembered(1);
    parsed.set(deps.keys, memory);
  }
  // by its own number instead of the registry's: what was verified with it stays remembered
  const { sequence } = await bundleContent(deps, version);
  const bundle = await memory.get(sequence, 'own', async () =>
    parseBundle(await trustBundle(deps, version), { trustDomain: deps.config.trust_domain }),
  );
  return bundle as Bundle;
}
