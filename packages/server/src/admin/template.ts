/** What an agent's running copies may be, as the admin API writes, shows and allows it. */
import { areNetworks } from '@bailiwick/protocol';
import { z } from 'zod';
import type { Agent } from '../agents/agent.ts';
import { whyReserved } from '../agents/dns-names.ts';
import { bindings, provenances } from '../agents/instance.ts';
import { insufficientScope } from '../web/caller.ts';
import { invalid } from '../web/problem.ts';
import { line, oneOf, setOf, wholeNumber } from './fields.ts';
import { reachesAny } from './reach.ts';
import type { Call } from './route.ts';
import { adminResource } from './scopes.ts';

const dnsName = 'must be a DNS name in lower case, or *. and one';
const attributeName = 'must be a name of lowercase letters, digits, dots, hyphens or underscores';

/** What its running copies may be. Bounds are those of every instance (design §2). */
const template = {
  lifetime_seconds: wholeNumber(60, 86_400).optional().meta({
    description: 'How long an instance and its certificate live unless it renews, and the most that one may ask for.',
  }),
  live_at_most: wholeNumber(1, 1_000_000)
    .optional()
    .meta({ description: 'How many may live at once, children included.' }),
  depth: wholeNumber(0, 5).optional().meta({
    description: 'How many generations of children there may be below one; 1 unless said otherwise, 0 for none.',
  }),
  dns_names: setOf(
    z
      .string({ error: dnsName })
      .max(253, dnsName)
      .regex(/^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/, dnsName),
    20,
    'names',
  )
    .optional()
    .meta({
      description:
        'Names that its certificates may carry beside the SPIFFE ID, if its csr asks for them. Adding one takes the scope `organizations:any`; never a host of this server, localhost or an address.',
    }),
  attributes: setOf(
    z
      .strictObject({
        name: z.string({ error: attributeName }).regex(/^[a-z][a-z0-9_.-]{0,62}$/, attributeName),
        provenance: oneOf(provenances).meta({ description: 'Who must say so, or somebody more believable.' }),
        values: setOf(line(256, 1), 50, 'values').optional().meta({
          description: 'What it may be; for `address` addresses and networks. Without: anything.',
        }),
      })
      .refine(({ name, values = [] }) => name !== 'address' || areNetworks(values), {
        error: 'must be addresses or networks (10.0.0.0/8), for address',
        path: ['values'],
      }),
    16,
    'attributes',
  )
    .optional()
    .meta({ description: 'What must be known of an instance, or it is not enrolled or renewed.' }),
  bind: setOf(oneOf(bindings), 3, 'bindings').optional().meta({
    description:
      'What its tokens are limited to, of the instance that asks: the address that it enrolled from, the country of that address, or its zone. It renews from there alone.',
  }),
};

export const writableTemplate = z.strictObject(template).default({}).meta({
  description:
    'What its running copies may be. A narrower template ends no instance: one that does not fit any more is not renewed, and ends at its end; a new `bind` ends the tokens that it has. New `dns_names` take the scope `organizations:any`, and are never hosts of this server, localhost or addresses.',
});

export const shownTemplate = z.strictObject({
  lifetime_seconds: z.number().optional(),
  live_at_most: z.number().optional(),
  depth: z.number().optional(),
  dns_names: z.array(z.string()).optional(),
  attributes: z
    .array(z.strictObject({ name: z.string(), provenance: oneOf(provenances), values: z.array(z.string()).optional() }))
    .optional(),
  bind: z.array(oneOf(bindings)).optional(),
});

/**
 * The template as it was written. A name in certificates is whoever it names to those who believe our authority, so an administrator
 * of one organization gives none; what was given before stays.
 * @throws Problem 422 or 403 naming `instances.dns_names`
 */
export function allowedTemplate(
  call: Call,
  wanted: z.output<typeof writableTemplate>,
  before: Agent['instances'],
): Agent['instances'] {
  const known = new Set(before.dns_names);
  for (const [index, name] of (wanted.dns_names ?? []).entries()) {
    const fault = known.has(name) ? undefined : whyReserved(call.deps.config, name);
    if (fault !== undefined) throw invalid(`instances.dns_names[${index}]`, fault);
  }
  if (reachesAny(call.caller) || (wanted.dns_names ?? []).every((name) => known.has(name))) return wanted;
  throw insufficientScope(
    adminResource(call.deps.config),
    ['organizations:any'],
    'instances.dns_names: names in certificates are given by those alone who administer every organization, with the scope organizations:any',
  );
}
