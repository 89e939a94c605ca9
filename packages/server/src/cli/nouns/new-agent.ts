/** What can go wrong with a new agent, whose name is spent once it is made, and what it still needs. */
import { type PublicJwk, thumbprint } from '@bailiwick/protocol';
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import type { Agent, Credential } from '../registry.ts';

/**
 * A key that has an owner already is refused before the agent is made, whose name would be spent.
 * @throws CliError (conflict)
 */
export async function keyIsFree(api: Api, jwk: PublicJwk): Promise<void> {
  const own = thumbprint(jwk);
  const all = await api.list<Credential>('/credentials', { kind: 'public_key' }).catch((error: unknown) => {
    if (error instanceof CliError && error.reason === 'refused') return []; // not theirs to see: the server will say it
    throw error;
  });
  const known = all.find((one) => one.thumbprint === own);
  if (known === undefined) return;
  throw new CliError(
    'conflict',
    `This key is or was registered already (${known.id} of ${known.agent}): nothing was made.`,
    {
      hint: 'Every key is for one agent and one life. `--key-out FILE` makes a new one.',
    },
  );
}

/** For what fails after the agent was made: the name is spent, so it says what is left to do. */
export const halfDone = (name: string, what: string, next: string) => (error: unknown) => {
  if (!(error instanceof CliError)) throw error;
  throw new CliError(error.reason, error.message, {
    hint: `${name} exists now, ${what}: \`${next}\``,
    details: error.details,
  });
};

/** What keeps a new agent from getting a token, and the next command. */
export function stillMissing({ name, roles, resources }: Agent): string[] {
  const update = `bailiwick agents update ${name} --resource RESOURCE`;
  if (roles.length === 0) {
    const then = `, then \`${update}\``;
    return [`It may do nothing yet, since it holds no role. Next: \`bailiwick roles grant ROLE ${name}\`${then}.`];
  }
  if (resources.length === 0) return [`It can get no token yet, since it was given no resource. Next: \`${update}\`.`];
  return resources.every(({ scope }) => scope.length > 0)
    ? []
    : [`It gets no scope that it doesn't name. What its roles give becomes its default by \`${update}\`.`];
}
