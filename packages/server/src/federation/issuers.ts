/** The issuers that an organization trusts, read once for each version of the registry. */
import type { Deps } from '../deps.ts';
import { rememberedPer } from '../lib/remember.ts';
import { findTrustedIssuer, findTrustedIssuerOf } from './issuer-store.ts';
import type { IssuerRule, TrustedIssuer } from './trusted-issuer.ts';

const memory = rememberedPer<TrustedIssuer>(10_000);

/** The issuer that this organization trusts by this name, suspended or not. */
export async function trustedIssuer(
  { db }: Pick<Deps, 'db'>,
  version: number,
  org: string,
  name: string,
): Promise<TrustedIssuer | undefined> {
  if (!/^[\x21-\x7e]{1,512}$/.test(name)) return undefined; // no URL, and PostgreSQL would choke on a NUL
  return memory(db).get(version, `${org} ${name}`, () => findTrustedIssuerOf(db, org, name));
}

/** A rule of an issuer, as a token of ours names it, as long as both are there. */
export async function issuerRule(
  { db }: Pick<Deps, 'db'>,
  version: number,
  { issuer: id, rule: name }: { issuer: string; rule: string },
): Promise<IssuerRule | undefined> {
  const issuer = await memory(db).get(version, id, () => findTrustedIssuer(db, id));
  return issuer?.rules.find((each) => each.name === name);
}
