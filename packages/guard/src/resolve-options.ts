import { readFileSync } from 'node:fs';
import path from 'node:path';
import {
  isJwsAlgorithm,
  type JwsAlgorithm,
  jwsAlgorithms,
  type Signer,
  sensitivities,
  signerFrom,
} from '@bailiwick/protocol';
import type { ContinuousSettings } from './continuous.ts';
import { demandsHeld } from './demands.ts';
import { isSafeUrl } from './issuer.ts';
import { GuardConfigError, type GuardCredential, type GuardOptions, type ResolvedOptions } from './options.ts';
import type { RegistrationInput } from './registration.ts';
import { reportsFrom } from './reports/settings.ts';
import { transactionsTaken } from './transaction.ts';

const known = new Set(
  'issuer resource credential operations scopes detailsTypes token resourceId mode feed introspection continuous keys dpop algorithms skewSeconds tokenCapacity clientCertificate trustedProxies forwardedHeader countryFile zones demands transactions localPath reports onDecision report now fetch runtime'.split(
    ' ',
  ),
);

/** @throws GuardConfigError saying what to write instead */
export function resolveOptions(options: GuardOptions): ResolvedOptions {
  for (const name of Object.keys(options)) {
    if (!known.has(name)) throw new GuardConfigError(`createGuard knows no option "${name}".`);
  }
  const { mode = 'feed', introspection = {}, keys = {}, dpop = {}, skewSeconds = 5, tokenCapacity = 10_000 } = options;
  const file = credentialFrom(options.credential);
  const issuer = options.issuer ?? file?.issuer;
  if (!isSafeUrl(issuer)) {
    throw new GuardConfigError('issuer must be the URL of the identity provider: https, or http on this machine.');
  }
  if (file?.issuer !== undefined && file.issuer !== issuer) {
    throw new GuardConfigError(`The credential is of ${file.issuer}, but issuer says ${issuer}.`);
  }
  if (mode !== 'feed' && mode !== 'introspect' && mode !== 'offline')
    throw new GuardConfigError('mode must be "feed", "introspect" or "offline".');
  if (file === undefined && mode !== 'offline') {
    throw new GuardConfigError(
      'To hear of revocations the guard needs a credential of its own: give `credential`, or choose `mode: "offline"`, in which a revoked token goes on working for up to 15 minutes.',
    );
  }
  if (file === undefined && options.operations === undefined) {
    throw new GuardConfigError(
      'The guard must know the operations: give `operations`, or a `credential` to fetch them.',
    );
  }
  const capacity = positive('dpop.replayCapacity', dpop.replayCapacity ?? 200_000);
  return {
    issuer,
    resource: resourceFrom(options.resource, options.localPath),
    credential: file === undefined ? undefined : { clientId: file.client_id, signer: signerOf(file) },
    registration: registrationFrom(options),
    demands: demandsHeld(options.demands),
    transactions: transactionsFrom(options),
    mode,
    feed: feedFrom(options.feed),
    introspection: {
      cacheMs: 1000 * between('introspection.cacheSeconds', introspection.cacheSeconds ?? 2, 0, 27),
      maxConcurrent: positive('introspection.maxConcurrent', introspection.maxConcurrent ?? 256),
    },
    continuous: file === undefined || mode === 'offline' ? nothingToAskBy(options) : continuousFrom(options),
    keys: {
      freshMs: 1000 * positive('keys.refreshSeconds', keys.refreshSeconds ?? 300),
      floorMs: 1000 * positive('keys.floorSeconds', keys.floorSeconds ?? 10),
      staleMs: 1000 * positive('keys.staleSeconds', keys.staleSeconds ?? 86_400),
    },
    dpop: {
      maxAgeSeconds: between('dpop.maxAgeSeconds', dpop.maxAgeSeconds ?? 60, 1, 3600),
      futureSeconds: between('dpop.futureSeconds', dpop.futureSeconds ?? 5, 0, 300),
      nonce: dpop.nonce === 'required',
      capacity,
      capacityPerKey: positive('dpop.replayCapacityPerKey', dpop.replayCapacityPerKey ?? Math.ceil(capacity / 4)),
    },
    algorithms: algorithmsFrom(options.algorithms),
    skewSeconds: between('skewSeconds', skewSeconds, 0, 60),
    tokenCapacity: positive('tokenCapacity', tokenCapacity),
    reports: reportsFrom(options, file !== undefined),
  };
}

function transactionsFrom({ transactions, operations, resourceId, continuous }: GuardOptions) {
  if (transactions === undefined) return undefined;
  const { trustDomain, accessTokens = 'refuse', ...others } = transactions ?? {};
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new GuardConfigError(`transactions knows no member "${unknown}".`);
  if (typeof trustDomain !== 'string' || trustDomain === '') {
    throw new GuardConfigError('transactions.trustDomain must be the trust domain of the identity provider.');
  }
  if (accessTokens !== 'refuse' && accessTokens !== 'accept') {
    throw new GuardConfigError('transactions.accessTokens must be "refuse" or "accept".');
  }
  if (operations !== undefined && resourceId === undefined) {
    throw new GuardConfigError(
      'transactions needs resourceId beside operations: they name the resources that take them.',
    );
  }
  const alone = accessTokens === 'refuse';
  if (alone && continuous !== undefined && continuous !== false) {
    throw new GuardConfigError(
      'continuous asks about no transaction tokens, and nothing else is accepted: leave it out.',
    );
  }
  return transactionsTaken({ trustDomain, alone });
}

function feedFrom({ whenLost, capacity = 200_000, ...others }: GuardOptions['feed'] = {}): ResolvedOptions['feed'] {
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new GuardConfigError(`feed knows no member "${unknown}".`);
  if (whenLost !== undefined && whenLost !== 'refuse') {
    throw new GuardConfigError('feed.whenLost can only be "refuse": that is stricter than what the resource chose.');
  }
  return { whenLost, capacity: positive('feed.capacity', capacity) };
}

/** Operations in code need not be registered, and of what isn't nobody could say whether it is allowed: then it must be asked for. */
function continuousFrom(options: GuardOptions): ContinuousSettings | undefined {
  const { continuous = options.operations === undefined ? {} : false } = options;
  if (continuous === false) return undefined;
  const { from = 'high', budgetMs = 250, batchMs = 2, maxConcurrent = 64, ...others } = continuous;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new GuardConfigError(`continuous knows no member "${unknown}".`);
  if (!sensitivities.includes(from)) {
    throw new GuardConfigError(`continuous.from must be one of ${sensitivities.join(', ')}.`);
  }
  return {
    from,
    budgetMs: between('continuous.budgetMs', budgetMs, 1, 10_000),
    batchMs: between('continuous.batchMs', batchMs, 0, 1000),
    maxConcurrent: positive('continuous.maxConcurrent', maxConcurrent),
  };
}

/** Whoever asked for it must hear that nobody will be asked. */
function nothingToAskBy({ continuous = false }: GuardOptions): undefined {
  if (continuous === false) return undefined;
  throw new GuardConfigError('continuous needs a credential, and a mode other than "offline".');
}

function credentialFrom(credential: GuardOptions['credential']): GuardCredential | undefined {
  if (credential === undefined) return undefined;
  let value: unknown = credential;
  if (typeof credential === 'string') {
    try {
      value = JSON.parse(readFileSync(credential, 'utf8'));
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? 'it is not JSON'; // never the text: there is a key in it
      const file = path.resolve(credential);
      const hint = why === 'ENOENT' ? ' Make the guard with `bailiwick guards create … --key-out FILE`.' : '';
      throw new GuardConfigError(`The guard's credential ${file} can't be read: ${why}.${hint}`);
    }
  }
  const { client_id, jwk } = (value ?? {}) as Partial<GuardCredential>;
  if (typeof client_id !== 'string' || typeof jwk !== 'object') {
    throw new GuardConfigError('credential must be {client_id, jwk}, or the path of a JSON file with them.');
  }
  return value as GuardCredential;
}

function signerOf(credential: GuardCredential): Signer {
  try {
    return signerFrom(credential.jwk);
  } catch (error) {
    throw new GuardConfigError(`credential.jwk can't be used: ${(error as Error).message}.`);
  }
}

function resourceFrom(identifier: unknown, localPath: string | undefined): ResolvedOptions['resource'] {
  if (typeof identifier !== 'string' || !URL.canParse(identifier) || !/^https?:/i.test(identifier)) {
    throw new GuardConfigError('resource must be the URL that callers use for this API, as it is registered.');
  }
  const url = new URL(identifier);
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new GuardConfigError('resource must have no query, fragment or user name.');
  }
  const path = url.pathname.replace(/\/$/, '');
  const local = localPath === undefined ? path : localPath.replace(/\/$/, '');
  if (local !== '' && !local.startsWith('/')) throw new GuardConfigError('localPath must begin with a slash.');
  return { identifier, base: url.origin + path, localPath: local };
}

function registrationFrom(options: GuardOptions): RegistrationInput | undefined {
  const { operations, scopes, detailsTypes, token, resourceId } = options;
  if (operations === undefined) {
    if ([scopes, detailsTypes, token, resourceId].every((each) => each === undefined)) return undefined;
    throw new GuardConfigError(
      'scopes, detailsTypes, token and resourceId go with operations; without them they come from the registration.',
    );
  }
  if (resourceId !== undefined && !/^res_\w+$/.test(resourceId)) {
    throw new GuardConfigError('resourceId must be the id (res_…) that the resource is registered under.');
  }
  return {
    operations,
    ...(resourceId === undefined ? {} : { id: resourceId }),
    ...(scopes === undefined ? {} : { scopes }),
    ...(detailsTypes === undefined ? {} : { detailsTypes }),
    ...(token === undefined ? {} : { token }),
  };
}

function algorithmsFrom(algorithms: readonly JwsAlgorithm[] = jwsAlgorithms): readonly JwsAlgorithm[] {
  if (algorithms.length > 0 && algorithms.every(isJwsAlgorithm)) return algorithms;
  throw new GuardConfigError(`algorithms must be some of ${jwsAlgorithms.join(', ')}.`);
}

function positive(name: string, value: number): number {
  return between(name, value, 1, Number.MAX_SAFE_INTEGER);
}

function between(name: string, value: number, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw new GuardConfigError(
    `${name} must be a number from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}.`,
  );
}
