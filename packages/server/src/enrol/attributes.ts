/** What is known of an instance, each with who says so; and what its agent's template demands. */
import { networks } from '@bailiwick/protocol';
import { type Attribute, type InstanceTemplate, provenances } from '../agents/instance.ts';
import { OAuthError } from '../lib/oauth-error.ts';

export type Attributes = Readonly<Record<string, Attribute>>;

/** Says the same of several things. */
const all = (values: Readonly<Record<string, string>>, provenance: Attribute['provenance']) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value, provenance }]));

/**
 * Joins what several say. Where two say something of the same, the more believable one counts; a contradiction is refused,
 * since one of them is wrong.
 * @param known what is known otherwise: of a parent, say
 * @throws OAuthError `invalid_request`
 */
export function attributesOf(said: {
  address: string;
  attested?: Readonly<Record<string, string>> | undefined;
  orchestrated: Readonly<Record<string, string>>;
  declared: Readonly<Record<string, string>>;
  known?: Attributes | undefined;
}): Attributes {
  const { address: _before, ...known } = said.known ?? {};
  const believed: Attributes = {
    ...known,
    ...all(said.orchestrated, 'orchestrated'),
    ...all(said.attested ?? {}, 'attested'),
    address: { value: said.address, provenance: 'observed' },
  };
  for (const [name, value] of Object.entries(said.declared)) {
    const better = Object.hasOwn(believed, name) ? believed[name] : undefined;
    if (better && better.value !== value) {
      throw new OAuthError(
        'invalid_request',
        `attributes.${name} contradicts what is known of it (${better.provenance})`,
      );
    }
  }
  return { ...all(said.declared, 'declared'), ...believed };
}

/**
 * Refuses what is not as the template has it: something unknown, said by somebody less believable, or of another value.
 * @throws OAuthError `unauthorized_client`
 */
export function mustFit({ attributes = [] }: InstanceTemplate, known: Attributes): void {
  for (const { name, provenance, values } of attributes) {
    const found = Object.hasOwn(known, name) ? known[name] : undefined;
    if (!found || provenances.indexOf(found.provenance) > provenances.indexOf(provenance)) {
      throw new OAuthError('unauthorized_client', `instances of this agent must have ${name}, ${provenance}`);
    }
    if (
      values &&
      values.length > 0 &&
      !(name === 'address' ? networks(values)(found.value) : values.includes(found.value))
    ) {
      throw new OAuthError('unauthorized_client', `instances of this agent must not have this ${name}`);
    }
  }
}

/** What of it the log can keep for ever: which things are known and from where, not what they are. */
export const provenanceOf = (attributes: Attributes): Record<string, string> =>
  Object.fromEntries(Object.entries(attributes).map(([name, { provenance }]) => [name, provenance]));
