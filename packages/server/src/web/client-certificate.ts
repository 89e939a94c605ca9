/**
 * The certificate whose key the other side of a connection has proven to hold: seen by our own listener, or by a proxy
 * of the configuration that says so.
 * @see RFC 8705 §2 and §6.5, RFC 9440
 */
import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import {
  certificateThumbprint,
  type Networks,
  networks,
  ProtocolError,
  parseClientCert,
  parseClientCertChain,
} from '@bailiwick/protocol';
import type { Config } from '../config.ts';
import type { PresentedCertificate } from '../decide/plan.ts';
import { OAuthError } from '../lib/oauth-error.ts';

/** No chain that we would follow is longer; what is longer isn't read on. */
const chainAtMost = 10;

/**
 * The client certificate of a request. Whether anybody issued it, whether it is still valid and whose it is, is not
 * looked at. Of a proxy only its headers count: a certificate that it shows for itself is not its clients'. The headers
 * of everybody else are ignored.
 * @throws OAuthError `invalid_request` for a proxy's headers that can't be read
 */
export function presentedCertificate(
  { raw }: { raw: IncomingMessage },
  config: Pick<Config, 'mtls'>,
): PresentedCertificate | undefined {
  if (isProxy(config, raw.socket.remoteAddress)) return fromHeaders(raw);
  return raw.socket instanceof TLSSocket ? fromConnection(raw.socket) : undefined;
}

const known = new WeakMap<TLSSocket, PresentedCertificate | 'none'>();

/** A connection's certificate can't change (no renegotiation), so it is looked at once. */
function fromConnection(socket: TLSSocket): PresentedCertificate | undefined {
  let certificate = known.get(socket);
  if (certificate === undefined) {
    const leaf = socket.getPeerX509Certificate();
    certificate = leaf ? presented(chainOf(leaf), 'listener') : 'none';
    known.set(socket, certificate);
  }
  return certificate === 'none' ? undefined : certificate;
}

/** The leaf, then each one's issuer as far as the other side has sent them. */
function chainOf(leaf: X509Certificate): Buffer[] {
  const chain: Buffer[] = [];
  let next: X509Certificate | undefined = leaf;
  while (next && chain.length < chainAtMost) {
    const { raw } = next;
    if (chain.some((der) => der.equals(raw))) break;
    chain.push(raw);
    next = next.issuerCertificate;
  }
  return chain;
}

function fromHeaders({ headersDistinct }: IncomingMessage): PresentedCertificate | undefined {
  const leaves = headersDistinct['client-cert'];
  const chains = headersDistinct['client-cert-chain'];
  try {
    const [leaf, another] = leaves ?? [];
    if (another !== undefined) throw new ProtocolError('malformed', 'the Client-Cert header must not be repeated');
    const rest = chains === undefined ? [] : parseClientCertChain(chains.join(','));
    if (leaf === undefined && chains === undefined) return undefined;
    if (leaf === undefined) throw new ProtocolError('malformed', 'Client-Cert-Chain needs Client-Cert'); // RFC 9440 §2.3
    if (rest.length >= chainAtMost) throw new ProtocolError('malformed', 'the Client-Cert-Chain header is too long');
    return presented([parseClientCert(leaf), ...rest], 'proxy');
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('invalid_request', error.message, { reason: 'a proxy’s header can’t be read' });
  }
}

const presented = (chain: Buffer[], seenBy: PresentedCertificate['seenBy']): PresentedCertificate => ({
  chain,
  x5t: certificateThumbprint(chain[0] as Buffer),
  seenBy,
});

const proxiesOf = new WeakMap<readonly string[], Networks>();

function isProxy({ mtls: { proxies } }: Pick<Config, 'mtls'>, address: string | undefined): boolean {
  if (proxies.length === 0 || address === undefined) return false;
  let isOne = proxiesOf.get(proxies);
  if (!isOne) {
    isOne = networks(proxies);
    proxiesOf.set(proxies, isOne);
  }
  return isOne(address);
}
