/**
 * Gets the bundle of a foreign trust domain from its endpoint, as its profile says.
 * @see SPIFFE Federation §5.2
 */
import { isUtf8 } from 'node:buffer';
import { ProtocolError, parseSpiffeId } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { FetchError } from '../lib/safe-fetch.ts';
import { type Bundle, maxBundleBytes, parseBundle } from '../lib/trust-bundle.ts';
import { spiffeIdOf, verifyChain } from '../lib/x509-verify.ts';
import type { BundleEndpoint, TrustDomain } from './trust-domain.ts';

const deepest = 16;

export interface FetchedBundle {
  /** As it was received, to be kept. */
  text: string;
  bundle: Bundle;
}

/** Finds the bundle of a trust domain that is known already. */
export type KnownBundle = (trustDomain: string) => Promise<Bundle | undefined>;

/** Why an endpoint gave nothing. `message` is for people; it repeats nothing that the endpoint wrote. */
export class BundleError extends Error {
  /** The server's own rules are against it: it would fail again. */
  readonly lasting: boolean;
  constructor(message: string, { lasting = false } = {}) {
    super(message);
    this.name = 'BundleError';
    this.lasting = lasting;
  }
}

/**
 * Fetches and verifies. Redirects are not followed: whom an operator named is whom we ask.
 * @param known what is known of trust domains before this: an `https_spiffe` endpoint is believed by its own domain's last bundle
 * @throws BundleError with a sentence
 */
export async function fetchBundle(
  deps: Deps,
  domain: Pick<TrustDomain, 'name' | 'sequence'> & { endpoint: BundleEndpoint },
  known: KnownBundle,
): Promise<FetchedBundle> {
  const { endpoint } = domain;
  try {
    const verify = endpoint.spiffeId === undefined ? undefined : await spiffeVerifier(deps, endpoint.spiffeId, known);
    const { body } = await deps.fetch(endpoint.url, {
      types: ['application/json', 'application/jwk-set+json'],
      maxBytes: maxBundleBytes,
      ...(verify && { verify }),
    });
    if (!isUtf8(body)) throw new BundleError('the endpoint did not send UTF-8');
    const text = body.toString('utf8');
    const bundle = readBundle(text, domain.name);
    if (domain.sequence !== undefined && bundle.sequence !== undefined && bundle.sequence < domain.sequence) {
      throw new BundleError(
        `the bundle's sequence number went back from ${domain.sequence} to ${bundle.sequence}: if that is meant, give the trust domain its new bundle by hand`,
      );
    }
    return { text, bundle };
  } catch (error) {
    if (error instanceof FetchError) throw new BundleError(error.message, { lasting: error.code === 'refused' });
    if (error instanceof ProtocolError) throw new BundleError(error.message);
    throw error;
  }
}

/** @throws BundleError, ProtocolError */
export function readBundle(text: string, trustDomain: string): Bundle {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new BundleError('the bundle is not JSON');
  }
  if (!isShallow(json)) throw new BundleError(`the bundle is more than ${deepest} levels deep`);
  return parseBundle(json, { trustDomain });
}

/** An explicit stack: the depth is the endpoint's choice until it was checked. */
function isShallow(value: unknown): boolean {
  const open: [value: unknown, depth: number][] = [[value, 0]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [here, depth] = next;
    if (typeof here !== 'object' || here === null) continue;
    if (depth >= deepest) return false;
    for (const item of Object.values(here)) open.push([item, depth + 1]);
  }
  return true;
}

/** @see SPIFFE Federation §5.2.2.4 */
async function spiffeVerifier(deps: Deps, spiffeId: string, known: KnownBundle) {
  const { trustDomain } = parseSpiffeId(spiffeId);
  const authorities = (await known(trustDomain))?.x509Authorities;
  if (authorities === undefined) {
    throw new BundleError(`no bundle of ${trustDomain} is known, so its endpoint can not prove who it is`);
  }
  return (chain: Buffer[]) => {
    const leaf = verifyChain(chain, { anchors: authorities, now: deps.clock.now(), purpose: 'server' });
    if (spiffeIdOf(leaf) !== spiffeId)
      throw new ProtocolError('wrong_spiffe_id', `its certificate is not of ${spiffeId}`);
  };
}
