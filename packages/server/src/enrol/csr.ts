/** A key shown by a certificate request, and the names that it wants beside the SPIFFE ID. @see RFC 2986 */
import { importPublicJwk, ProtocolError, publicJwk, thumbprint } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import { coversName, whyReserved } from '../agents/dns-names.ts';
import type { Config } from '../config.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { type CertificateRequest, readCertificateRequest } from '../lib/x509-csr.ts';
import type { ProvenKey } from './proof.ts';

/**
 * The key of a request that asks for nothing but what its agent's template allows.
 * @param spiffeId what the certificate will say, where the client can know it: at a renewal
 * @throws OAuthError `invalid_request` for what can't be read or is not proven, `unauthorized_client` for foreign names
 */
export function keyOfRequest(config: Config, csr: string, agent: Agent, spiffeId?: string): ProvenKey {
  try {
    const request = readCertificateRequest(csr);
    const { jwk, alg } = importPublicJwk(request.publicJwk, request.publicJwk.kty === 'RSA' ? 'RS256' : undefined);
    mustBeIts(config, request, agent, spiffeId);
    return {
      jwk: publicJwk(request.publicJwk),
      alg,
      thumbprint: thumbprint(jwk),
      by: 'csr',
      dnsNames: request.names.dnsNames,
      proofs: [],
    };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('invalid_request', `csr: ${error.message}`, { reason: `csr ${error.code}` });
  }
}

/** Whoever signs what others wrote signs what they meant. */
function mustBeIts(
  config: Config,
  { subjectDn, names, others }: CertificateRequest,
  agent: Agent,
  spiffeId: string | undefined,
): void {
  const foreign = (what: string) => new OAuthError('unauthorized_client', `csr: ${what}`, { reason: `csr: ${what}` });
  if (subjectDn !== '' && subjectDn !== `CN=${agent.name}`) {
    throw foreign('its subject must be empty, or the name of the agent as CN');
  }
  if (others.length > 0) throw foreign('it asks for more than names: leave all but subjectAltName away');
  if (names.uris.some((uri) => uri !== spiffeId)) {
    throw foreign('it must not name a URI but the SPIFFE ID that the instance has: leave it away');
  }
  if (names.ips.length + names.emails.length + names.others > 0) throw foreign('it may ask for DNS names alone');
  const allowed = agent.instances.dns_names ?? [];
  if (!names.dnsNames.every((name) => isWholeName(name) && allowed.some((pattern) => coversName(pattern, name)))) {
    throw foreign('it names what the template of the agent does not allow');
  }
  // a template may be older than what the server is called now
  if (names.dnsNames.some((name) => whyReserved(config, name) !== undefined)) {
    throw foreign('it names a host of the server, localhost or an address');
  }
}

/** What a certificate carries is always one whole name. */
const isWholeName = (name: string) =>
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/.test(name);
