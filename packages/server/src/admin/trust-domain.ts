/** A foreign trust domain as the admin API takes and shows it, and what must be known before it is written down. */
import { certificateThumbprint, ProtocolError, parseSpiffeId } from '@bailiwick/protocol';
import { z } from 'zod';
import type { OtherCredential } from '../credentials/credential.ts';
import { selectCredentials } from '../credentials/store.ts';
import type { Deps } from '../deps.ts';
import { bundleIn, isBelieved } from '../federation/bundles.ts';
import { BundleError, type FetchedBundle, fetchBundle, readBundle } from '../federation/endpoint.ts';
import { confirmationOf, knownBundles, nextRound } from '../federation/refresh.ts';
import { selectTrustDomains } from '../federation/store.ts';
import { type BundleEndpoint, endpointProfiles, staleAt, type TrustDomain } from '../federation/trust-domain.ts';
import { rfc3339 } from '../lib/clock.ts';
import { urlFault } from '../lib/safe-fetch.ts';
import { invalid } from '../web/problem.ts';
import { line, oneOf, record, shownTime } from './fields.ts';
import { adminScopesOf, mustHold } from './reach.ts';
import type { Call } from './route.ts';
import { common } from './shapes.ts';

const nameMessage =
  'must be the name of a trust domain: 1 to 255 lowercase letters, digits, dots, hyphens or underscores';
export const trustDomainName = z.string({ error: nameMessage }).regex(/^[a-z0-9._-]{1,255}$/, nameMessage);

const endpoint = record({
  url: line(2048, 1).meta({ description: 'An https URL. Redirects are not followed.' }),
  profile: oneOf(endpointProfiles).default('https_web').meta({
    description:
      '`https_web`: the endpoint proves itself by a certificate of the Web’s authorities. `https_spiffe`: by an X.509-SVID of `spiffe_id`.',
  }),
  spiffe_id: line(2048, 1).optional().meta({ description: 'Who the endpoint is; needed with `https_spiffe`.' }),
});

const bundleBody = z
  .record(z.string(), z.unknown(), { error: 'must be a SPIFFE bundle: a JSON object with "keys"' })
  .meta({
    description:
      'A SPIFFE bundle (JWKS). Needed without an endpoint, and for an `https_spiffe` endpoint of the trust domain itself: it is what the first connection is verified by.',
  });

export const writable = { bundle_endpoint: endpoint.optional(), bundle: bundleBody.optional() };

export const shown = z.strictObject({
  ...common('trust_domain'),
  name: trustDomainName,
  status: oneOf(['current', 'stale', 'waiting']).meta({
    description:
      '`waiting`: no bundle was fetched yet. `stale`: the endpoint has not confirmed it for too long, and nobody of it is believed until it does.',
  }),
  bundle_endpoint: z
    .strictObject({ url: z.string(), profile: oneOf(endpointProfiles), spiffe_id: z.string().optional() })
    .optional(),
  bundle: z
    .strictObject({
      sequence: z.int().optional(),
      refresh_hint_seconds: z.number().optional(),
      x509_authorities: z.array(z.string()).meta({ description: 'Their thumbprints (`x5t#S256`).' }),
      jwt_authorities: z.array(z.string()).meta({ description: 'Their `kid`s.' }),
    })
    .optional(),
  confirmed_at: shownTime.optional().meta({ description: 'When the endpoint last said that this is its bundle.' }),
  stale_at: shownTime.optional(),
  refresh_at: shownTime.optional().meta({ description: 'When it is fetched next.' }),
  fault: z.string().optional().meta({ description: 'Why the last attempt failed.' }),
  updated_at: shownTime,
});

/** A trust domain as the API shows it. */
export function show(deps: Deps, domain: TrustDomain): z.output<typeof shown> {
  const bundle = bundleIn(domain);
  const { endpoint: from, confirmedAt, dueAt } = domain;
  const end = staleAt(domain, bundle?.refreshHint);
  return {
    id: domain.id,
    organization: domain.org,
    created_at: rfc3339(domain.createdAt),
    name: domain.name,
    status: bundle === undefined ? 'waiting' : isBelieved(domain, deps.clock.now()) ? 'current' : 'stale',
    ...(from && {
      bundle_endpoint: { url: from.url, profile: from.profile, ...(from.spiffeId && { spiffe_id: from.spiffeId }) },
    }),
    ...(bundle && {
      bundle: {
        ...(bundle.sequence !== undefined && { sequence: bundle.sequence }),
        ...(bundle.refreshHint !== undefined && { refresh_hint_seconds: bundle.refreshHint }),
        x509_authorities: bundle.x509Authorities.map((der) => certificateThumbprint(der)),
        jwt_authorities: [...bundle.jwtAuthorities.keys()],
      },
    }),
    ...(confirmedAt !== undefined && { confirmed_at: rfc3339(confirmedAt) }),
    ...(end !== undefined && { stale_at: rfc3339(end) }),
    ...(dueAt !== undefined && { refresh_at: rfc3339(dueAt) }),
    ...(domain.fault !== undefined && { fault: domain.fault }),
    updated_at: rfc3339(domain.updatedAt),
  };
}

/** What an operator says of a trust domain, checked; it is fetched from its endpoint before the transaction. */
interface Wanted {
  bundle_endpoint?: z.output<typeof endpoint> | undefined;
  bundle?: Record<string, unknown> | undefined;
}

/** @throws Problem 422 naming the field */
function endpointOf(wanted: Wanted['bundle_endpoint']): BundleEndpoint | undefined {
  if (wanted === undefined) return undefined;
  const { url, profile, spiffe_id: spiffeId } = wanted;
  const fault = urlFault(url);
  if (fault !== undefined) throw invalid('bundle_endpoint.url', fault);
  const field = 'bundle_endpoint.spiffe_id';
  if (profile === 'https_web') {
    if (spiffeId !== undefined)
      throw invalid(field, 'is for https_spiffe alone: the Web’s authorities know no SPIFFE IDs');
    return { url, profile };
  }
  if (spiffeId === undefined) throw invalid(field, 'is needed with https_spiffe: it says who the endpoint must be');
  try {
    if (parseSpiffeId(spiffeId).path.length === 0) throw invalid(field, 'must name somebody, not a whole trust domain');
  } catch (error) {
    if (error instanceof ProtocolError) throw invalid(field, error.message);
    throw error;
  }
  return { url, profile, spiffeId };
}

/** @throws Problem 422 naming `bundle` */
function givenBundle(name: string, wanted: Wanted['bundle']): FetchedBundle | undefined {
  if (wanted === undefined) return undefined;
  const text = JSON.stringify(wanted);
  try {
    return { text, bundle: readBundle(text, name) };
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof BundleError) throw invalid('bundle', error.message);
    throw error;
  }
}

/**
 * What is known of a trust domain once an operator has said this of it, and its endpoint was asked. That it doesn't answer is noted
 * and no error: of two servers that trust each other one has to be first.
 * @throws Problem 422 for what can't work
 */
export async function asked(call: Call, before: TrustDomain, wanted: Wanted): Promise<TrustDomain> {
  const { now } = call;
  const to = endpointOf(wanted.bundle_endpoint);
  const given = givenBundle(before.name, wanted.bundle);
  const start: TrustDomain = {
    ...before,
    endpoint: to,
    ...(given && { bundle: given.text, sequence: given.bundle.sequence, confirmedAt: now }),
    triedAt: undefined,
    dueAt: undefined,
    fault: undefined,
    updatedAt: Math.max(now, before.updatedAt + 1),
  };
  if (to === undefined) {
    if (start.bundle === undefined) throw invalid('bundle', 'is needed where no bundle_endpoint is named');
    return { ...start, confirmedAt: start.confirmedAt ?? now };
  }
  if (
    to.spiffeId !== undefined &&
    start.bundle === undefined &&
    parseSpiffeId(to.spiffeId).trustDomain === start.name
  ) {
    throw invalid('bundle', 'is needed: an https_spiffe endpoint proves itself by the trust domain’s own authorities');
  }
  const result = await fetched(call, { ...start, endpoint: to });
  const attempt = { ...start, triedAt: now };
  if ('fault' in result) {
    return { ...attempt, dueAt: nextRound(call.deps, bundleIn(start)?.refreshHint), fault: result.fault };
  }
  const { bundle, sequence, dueAt } = confirmationOf(call.deps, result);
  return { ...attempt, bundle, sequence, confirmedAt: now, dueAt };
}

/**
 * What the endpoint says now, or why it says nothing.
 * @throws Problem 422 when the server's own rules are against it
 */
export async function fetched(
  { deps }: Call,
  domain: TrustDomain & { endpoint: BundleEndpoint },
): Promise<FetchedBundle | { fault: string }> {
  try {
    return await fetchBundle(deps, domain, knownBundles(deps, domain));
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    if (error.lasting) throw invalid('bundle_endpoint.url', `can not be fetched from: ${error.message}`);
    return { fault: error.message };
  }
}

type SpiffeCredential = Extract<OtherCredential, { kind: 'spiffe_id' }>;

/** The credentials that rest on a trust domain: they name identities of it, and are not removed. */
export async function users({ q, now }: Pick<Call, 'q' | 'now'>, domain: TrustDomain): Promise<SpiffeCredential[]> {
  return usersOfAny({ q, now }, domain.org, new Set([domain.name]));
}

async function usersOfAny(
  { q, now }: Pick<Call, 'q' | 'now'>,
  org: string,
  domains: ReadonlySet<string>,
): Promise<SpiffeCredential[]> {
  const found: SpiffeCredential[] = [];
  for await (const one of everyOne((page) => selectCredentials(q, { org, kind: 'spiffe_id', now, ...page }))) {
    const rests = one.kind === 'spiffe_id' && domains.has(parseSpiffeId(withoutStar(one.detail.spiffe_id)).trustDomain);
    if (rests && one.status !== 'removed') found.push(one);
  }
  return found;
}

const withoutStar = (pattern: string) => pattern.replace(/\/\*$/, '');

async function* everyOne<One extends { id: string }>(
  select: (page: { after: string | undefined; limit: number }) => Promise<One[]>,
): AsyncGenerator<One> {
  const limit = 500;
  for (let after: string | undefined; ; ) {
    const page = await select({ after, limit });
    yield* page;
    if (page.length < limit) return;
    after = page.at(-1)?.id;
  }
}

/** This trust domain, and every one whose bundle comes from an endpoint that proves itself by an identity of one of these. */
async function restingOn({ q }: Pick<Call, 'q'>, { org, name }: TrustDomain): Promise<ReadonlySet<string>> {
  const provenBy: [of: string, by: string][] = [];
  for await (const { name: of, endpoint: from } of everyOne((page) => selectTrustDomains(q, { org, ...page }))) {
    if (from?.spiffeId !== undefined) provenBy.push([of, parseSpiffeId(from.spiffeId).trustDomain]);
  }
  const found = new Set([name]);
  // a set gives what is added while it is walked through, too
  for (const one of found) for (const [of, by] of provenBy) if (by === one) found.add(of);
  return found;
}

/**
 * Refuses unless the caller has all that the agents have whose identities rest on the trust domain: who says by which keys they
 * are known can be them. So can who says by which keys the endpoint is known that says so, and so on.
 * @throws Problem 403
 */
export async function governedUsers(call: Call, domain: TrustDomain): Promise<void> {
  for (const agent of new Set(
    (await usersOfAny(call, domain.org, await restingOn(call, domain))).map((one) => one.agent),
  )) {
    mustHold(
      call,
      await adminScopesOf(call.q, agent),
      `power over ${domain.name}, where agents have their identities,`,
    );
  }
}
