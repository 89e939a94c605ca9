/** The foreign trust domains of a fleet file: read, compared with what is registered, and registered. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { certificateThumbprint, ProtocolError } from '@bailiwick/protocol';
import { readSpiffePattern } from '../../credentials/subject.ts';
import { type Bundle, parseBundle } from '../../lib/trust-bundle.ts';
import type { Api } from '../api.ts';
import type { TrustDomain } from '../registry.ts';
import type { Say } from '../yaml-file.ts';
import { type Change, change, type Present } from './changes.ts';
import type { Fleet } from './fleet.ts';

/** A bundle that the file names, to be sent as it is. */
export interface WantedBundle {
  json: unknown;
  /** Thumbprints and `kid`s: what the server shows of it. */
  authorities: readonly string[];
}

/** Whether the file says anything for which the trust domains that are registered have to be known. */
export function speaksOfTrustDomains({ trust_domains, agents }: Fleet): boolean {
  const named = Object.values(agents).some(({ credentials = [] }) =>
    credentials.some(({ spiffe_id }) => spiffe_id !== undefined),
  );
  return named || Object.keys(trust_domains).length > 0;
}

/** The bundles that the file names, and a line for each that can't be used. */
export function wantedBundles(fleet: Fleet, folder: string, say: Say) {
  const wanted = new Map<string, WantedBundle>();
  const mistakes: string[] = [];
  for (const [name, { bundle }] of Object.entries(fleet.trust_domains)) {
    if (bundle === undefined) continue;
    try {
      const text = readFileSync(path.resolve(folder, bundle), 'utf8');
      const authorities = authoritiesOf(parseBundle(text, { trustDomain: name }));
      wanted.set(name, { json: JSON.parse(text), authorities });
    } catch (error) {
      const why = error instanceof ProtocolError ? error.message : (error as NodeJS.ErrnoException).code;
      mistakes.push(say(['trust_domains', name, 'bundle'], `can't be used: ${why}.`));
    }
  }
  return { wanted, mistakes };
}

const authoritiesOf = ({ x509Authorities, jwtAuthorities }: Bundle) =>
  [...x509Authorities.map((der) => certificateThumbprint(der)), ...jwtAuthorities.keys()].toSorted();

/** A line for each SPIFFE ID of a trust domain that is registered neither here nor in the file. */
export function trustDomainMistakes(fleet: Fleet, present: Present, say: Say): string[] {
  const known = new Set([...Object.keys(fleet.trust_domains), ...present.trustDomains.map(({ name }) => name)]);
  return Object.entries(fleet.agents).flatMap(([agent, { credentials = [] }]) =>
    credentials.flatMap(({ spiffe_id }, index) => {
      const name = spiffe_id === undefined ? undefined : trustDomainOf(spiffe_id);
      if (name === undefined || known.has(name)) return [];
      const wrong = `names the trust domain ${name}, which is not registered, here or in the file.`;
      return [say(['agents', agent, 'credentials', index], wrong)];
    }),
  );
}

/** Undefined where it is none: that is told elsewhere. */
function trustDomainOf(spiffeId: string): string | undefined {
  try {
    return readSpiffePattern(spiffeId).trustDomain;
  } catch {
    return undefined;
  }
}

/** What has to change. A bundle is compared only where no endpoint is named: others are newer there than in any file. */
export function trustDomainChanges(
  fleet: Fleet,
  present: Present,
  bundles: ReadonlyMap<string, WantedBundle>,
): Change[] {
  return Object.entries(fleet.trust_domains).flatMap(([name, { url, spiffe_id }]) =>
    change(
      'trust_domain',
      name,
      present.trustDomains.find((one) => one.name === name),
      {
        url,
        profile: url === undefined ? undefined : profileOf(spiffe_id),
        spiffe_id,
        authorities: url === undefined ? bundles.get(name)?.authorities : undefined,
      },
      ({ bundle_endpoint, bundle }: TrustDomain) => ({
        ...bundle_endpoint,
        authorities: [...(bundle?.x509_authorities ?? []), ...(bundle?.jwt_authorities ?? [])].toSorted(),
      }),
    ),
  );
}

const profileOf = (spiffeId: string | undefined) => (spiffeId === undefined ? 'https_web' : 'https_spiffe');

/** Makes one of these changes. */
export async function applyTrustDomain(
  api: Api,
  fleet: Fleet,
  bundles: ReadonlyMap<string, WantedBundle>,
  { name, id, fields }: Change,
): Promise<void> {
  const { url, spiffe_id } = fleet.trust_domains[name] ?? {};
  const given = bundles.get(name);
  const bundle = given && (id === undefined || fields.some(({ field }) => field === 'authorities')) && given.json;
  const endpoint = url !== undefined && { url, profile: profileOf(spiffe_id) };
  if (id === undefined) {
    const bundle_endpoint = endpoint && { ...endpoint, ...(spiffe_id !== undefined && { spiffe_id }) };
    await api.create('/trust-domains', {
      name,
      ...(bundle_endpoint && { bundle_endpoint }),
      ...(bundle !== undefined && { bundle }),
    });
    return;
  }
  await api.patch(`/trust-domains/${id}`, {
    bundle_endpoint: endpoint ? { ...endpoint, spiffe_id: spiffe_id ?? null } : null,
    ...(bundle ? { bundle } : {}),
  });
}
