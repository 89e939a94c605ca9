/** What may be done on resources, as options say it: scopes by name, details as JSON. */
import type { Api } from './api.ts';
import { CliError } from './errors.ts';
import { findResource } from './names.ts';
import { pair } from './values.ts';

export interface NamedPermission {
  /** Id of the resource. */
  resource: string;
  scopes: string[];
  details: unknown[];
}

/** @throws CliError (usage, not_found) naming the option or the resource */
export async function permissionsFrom(
  api: Api,
  { permission, details }: { permission: readonly string[]; details: readonly string[] },
): Promise<NamedPermission[]> {
  const permissions = new Map<string, NamedPermission>();
  const on = async (name: string) => {
    const { id } = await findResource(api, name);
    const known = permissions.get(id) ?? { resource: id, scopes: [], details: [] };
    permissions.set(id, known);
    return known;
  };
  for (const text of permission) {
    const [resource, scopes] = pair('--permission', text, 'RESOURCE=SCOPE,SCOPE, such as tickets=tickets:read');
    (await on(resource)).scopes.push(...scopes.split(',').filter((scope) => scope !== ''));
  }
  for (const text of details) {
    const shape = 'RESOURCE=JSON, such as \'bank={"type":"transfer","amount":100}\'';
    const [resource, json] = pair('--details', text, shape);
    (await on(resource)).details.push(parsed(text, json, shape));
  }
  return [...permissions.values()];
}

function parsed(text: string, json: string, shape: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new CliError('usage', `--details "${text}" isn't understood: it reads ${shape}.`);
  }
}
