/** Where signals are managed, fetched and heard, in one table: routes and metadata derive from it. @see SSF 1.0 §7.1 */
import { deliveryMethods } from '../ssf/events.ts';

export const signalPaths = {
  configuration: '/ssf/streams',
  status: '/ssf/status',
  addSubject: '/ssf/subjects/add',
  removeSubject: '/ssf/subjects/remove',
  verification: '/ssf/verification',
  /** With the id of the stream behind it. */
  poll: '/ssf/poll',
  /** With the id of the source behind it. */
  receive: '/ssf/receive',
} as const;

interface Settings {
  issuer: string;
  signals: { default_subjects: 'ALL' | 'NONE' };
}

/** What the transmitter says of itself. @see SSF 1.0 §7.1, CAEP Interoperability Profile §2.3 */
export const transmitterMetadata = ({ issuer, signals }: Settings, jwksUri: string): Record<string, unknown> => ({
  spec_version: '1_0',
  issuer,
  jwks_uri: jwksUri,
  delivery_methods_supported: Object.values(deliveryMethods),
  configuration_endpoint: issuer + signalPaths.configuration,
  status_endpoint: issuer + signalPaths.status,
  add_subject_endpoint: issuer + signalPaths.addSubject,
  remove_subject_endpoint: issuer + signalPaths.removeSubject,
  verification_endpoint: issuer + signalPaths.verification,
  // OAuth 2.0, with tokens bound to a key (RFC 9449); their resource is the issuer (RFC 9728)
  authorization_schemes: [{ spec_urn: 'urn:ietf:rfc:6749' }, { spec_urn: 'urn:ietf:rfc:9449' }],
  default_subjects: signals.default_subjects,
});

/** Where it says so: before the issuer's path. @see SSF 1.0 §7.2 */
export function transmitterMetadataPath({ issuer }: { issuer: string }): string {
  const { pathname } = new URL(issuer);
  return `/.well-known/ssf-configuration${pathname === '/' ? '' : pathname}`;
}
