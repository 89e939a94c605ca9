// One line of the rejection table, and the people who appear in it.
import type { Change, Client, Key, Setting } from '../craft.ts';

/** What is sent, beside everything else being right. */
export type Sent = Change | ((scene: Scene) => Change);

/** The sentence, what is sent, the HTTP status, the OAuth error code. */
export type Row = [sentence: string, sent: Sent, status: number, error: string];

/** The setting of a request, and everyone who appears in the table. */
export interface Scene extends Setting {
  /** Another agent in good standing, with keys of its own. */
  other: Client;
  /** An agent registered with an RSA key for PS256. */
  rsa: Client;
  /** Agents that may not act, each with a key that was good once. */
  suspended: Client;
  retired: Client;
  expired: Client;
  /** Its credential was removed; the agent itself is alive. */
  keyless: Client;
  /** Its only credential has run out. */
  staleKey: Client;
  /** Registered without any grant type. */
  grantless: Client;
  /** Registered without a default resource. */
  aimless: Client;
  /** A key that nobody ever registered. */
  strangerKey: Key;
  /** An access token of `client`, as issued. */
  accessToken: string;
  /** Resources beside the one that `client` may use. */
  foreignResource: string;
  retiredResource: string;
  /** Makes a nonce as old as is said, in seconds; undefined when there was no such time. */
  staleNonce: string;
}
