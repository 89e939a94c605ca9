import { BailiwickError } from './errors.ts';
import { readIdentityFile } from './file.ts';
import { assertedBy } from './identity.ts';
import { type AgentInstance, beginInstance, type InstanceOptions, persistently, type Rooms } from './instance.ts';
import { createInstanceApi, type InstanceRequest } from './instance-api.ts';
import { createIssuerClock } from './issuer-clock.ts';
import { createNonces } from './nonces.ts';
import {
  type AgentOptions,
  type CommonOptions,
  checkClientId,
  commonDeps,
  signerOf,
  type TokenBinding,
} from './options.ts';

export interface EnrolOptions extends CommonOptions, InstanceOptions {
  /** Left out, it is that of `file`, or of the environment: `BAILIWICK_ISSUER`. */
  issuer?: string;
  /** Works once. Left out together with what follows, it is taken out of the environment: `BAILIWICK_ENROLMENT_TOKEN`. */
  enrolmentToken?: string;
  /** The agent's own key file, as `bailiwick` writes it, in place of an enrolment token. */
  file?: string;
  /** The agent's own id and key, in place of both. */
  clientId?: string;
  key?: AgentOptions['key'];
  /** What tokens are bound to: the instance's key (`dpop`, by default), its certificate (`mtls`), or `both`. */
  binding?: TokenBinding;
}

/**
 * Enrols this process as an instance of an agent: makes a key pair in memory, and gets a SPIFFE ID, a certificate and
 * (where `resource` is named) the first token in one round trip. It renews by itself until it is ended.
 *
 * @throws BailiwickError `bad_option`, `invalid_client` (a token that was used or is too old), …
 */
export async function enrol(options: EnrolOptions = {}): Promise<AgentInstance> {
  const credential = credentialOf(options);
  const { binding = 'dpop' } = options;
  if (binding !== 'dpop' && options.fetch !== undefined) {
    const hint = 'leave fetch out: the certificate is presented by our own TLS';
    throw new BailiwickError('bad_option', `binding ${binding} can't go with fetch`, { hint });
  }
  const issuer = options.issuer ?? credential.issuer ?? process.env.BAILIWICK_ISSUER?.trim();
  if (issuer === undefined || issuer === '') {
    throw new BailiwickError('bad_option', 'issuer is missing', { hint: 'or set BAILIWICK_ISSUER' });
  }
  const deps = commonDeps(issuer, options);
  const clock = createIssuerClock(deps.now);
  const nonces = createNonces();
  const api = createInstanceApi({ deps, clock, nonces });
  const rooms: Rooms = { deps, clock, nonces, api, binding, ownTls: options.fetch === undefined };
  return beginInstance(rooms, options, async (request) => {
    const { enrolmentToken, clientId, key } = credential;
    if (enrolmentToken !== undefined) {
      return persistently(deps, (isAgain) => api({ ...request, bearer: enrolmentToken, hints: tokenHints(isAgain) }));
    }
    checkClientId(clientId);
    const authenticate = assertedBy(signerOf(key, 'key'), clientId as string);
    const body: InstanceRequest['body'] = async (at) => ({
      ...(await request.body?.(at)),
      ...(await authenticate({ audience: issuer, now: at.now, jti: deps.uuid() })),
    });
    return persistently(deps, () => api({ ...request, body, hints: keyHints }));
  });
}

type OwnCredential = Partial<Pick<EnrolOptions, 'issuer' | 'enrolmentToken' | 'clientId' | 'key'>>;

/** What is enrolled with. The variable of the environment is gone afterwards: children of this process don't get it. */
function credentialOf({ enrolmentToken, file, clientId, key }: EnrolOptions): OwnCredential {
  const given = [enrolmentToken, file, key].filter((one) => one !== undefined).length;
  const hint = 'give enrolmentToken, file, or clientId and key, or set BAILIWICK_ENROLMENT_TOKEN';
  if (given > 1) throw new BailiwickError('bad_option', 'there is more than one thing to enrol with', { hint });
  if (file !== undefined) return readIdentityFile(file);
  if (key !== undefined) return { ...(clientId !== undefined && { clientId }), key };
  const token = enrolmentToken ?? process.env.BAILIWICK_ENROLMENT_TOKEN?.trim();
  if (enrolmentToken === undefined) delete process.env.BAILIWICK_ENROLMENT_TOKEN;
  if (token === undefined || token === '')
    throw new BailiwickError('bad_option', 'there is nothing to enrol with', { hint });
  if (!/^[\w~.+/=-]{1,512}$/.test(token)) {
    throw new BailiwickError('bad_option', 'the enrolment token is none', {
      hint: 'it begins with bwe_; was it cut off or quoted?',
    });
  }
  return { enrolmentToken: token };
}

const tokenHints = (isAgain: boolean): Record<string, string> => ({
  invalid_client: isAgain
    ? 'an enrolment token works once, and the answer to its first use was lost on the way: make a new one (bailiwick enrolment-token)'
    : 'an enrolment token works once, for minutes, and only from where it was made for: make a new one (bailiwick enrolment-token)',
  unauthorized_client: 'look at the registration of its agent: is it active, and may it have another instance?',
});

const keyHints: Record<string, string> = {
  invalid_client: 'is the key registered for this agent and not expired, and the clock of this machine right?',
  unauthorized_client: 'look at its registration: is it active, and may it have another instance?',
};
