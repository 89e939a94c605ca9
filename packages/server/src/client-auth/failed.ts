import { OAuthError } from '../lib/oauth-error.ts';

/** Why authentication failed, for the log alone: everybody who fails hears the same. */
export const failed = (reason: string): OAuthError =>
  new OAuthError('invalid_client', 'client authentication failed', { reason });
