/** Names of security events, and of how they are delivered. @see OpenID SSF 1.0, CAEP 1.0 */
export const caep = 'https://schemas.openid.net/secevent/caep/event-type/';
const ssf = 'https://schemas.openid.net/secevent/ssf/event-type/';

/** About a stream itself: told whatever was asked for. @see SSF 1.0 §8.1.4, §8.1.5 */
export const verificationEvent = `${ssf}verification`;
export const streamUpdatedEvent = `${ssf}stream-updated`;

/** What we tell of. */
export const toldEvents = [`${caep}session-revoked`, `${caep}token-claims-change`, `${caep}credential-change`] as const;
export type ToldEvent = (typeof toldEvents)[number];

/** What we understand when others tell it, by the last part of its name. */
export const heardEvents = [
  'session-revoked',
  'token-claims-change',
  'credential-change',
  'assurance-level-change',
  'device-compliance-change',
  'risk-level-change',
] as const;
export type HeardEvent = (typeof heardEvents)[number];

export const deliveryMethods = { push: 'urn:ietf:rfc:8935', poll: 'urn:ietf:rfc:8936' } as const;
export type DeliveryMethod = keyof typeof deliveryMethods;

/** The media type of a SET, and the `typ` of its header. @see RFC 8417 §2.3 */
export const setType = 'secevent+jwt';
export const setMediaType = 'application/secevent+jwt';
