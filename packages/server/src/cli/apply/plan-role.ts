/** Roles, as the file says them and as they are. */
import { canonicalJson } from '@bailiwick/protocol';
import type { Role } from '../registry.ts';
import type { Fleet } from './fleet.ts';

type FleetRole = Fleet['roles'][string];

/** Roles that inherit come after those that they inherit from. */
export const heirsLast = (roles: Fleet['roles']): [name: string, role: FleetRole][] =>
  Object.entries(roles).toSorted(([, a], [, b]) => Number(isHeir(a)) - Number(isHeir(b)));

const isHeir = ({ inherits = [] }: FleetRole) => inherits.length > 0;

/** What the file says of a role. Scopes and details stand side by side there, and make up permissions together. */
export function roleValues(wanted: FleetRole, nameOf: (reference: string) => string): Record<string, unknown> {
  const { permissions, details } = wanted;
  const said = permissions !== undefined || details !== undefined;
  const resources = [...Object.keys(permissions ?? {}), ...Object.keys(details ?? {})];
  return {
    description: wanted.description,
    permissions: said
      ? Object.fromEntries(resources.map((name) => [nameOf(name), gives(permissions?.[name] ?? [], details?.[name])]))
      : undefined,
    inherits: wanted.inherits?.toSorted(),
  };
}

/** The same of what is there. */
export const roleNow = (role: Role, nameOf: (id: string) => string): Record<string, unknown> => ({
  description: role.description,
  permissions: Object.fromEntries(
    role.permissions.map(({ resource, scopes, details }) => [nameOf(resource), gives(scopes, details)]),
  ),
  inherits: role.inherits.map(nameOf).toSorted(),
});

/** Scopes, and details in one line each. */
const gives = (scopes: readonly string[], details: readonly object[] = []) => [
  ...scopes.toSorted(),
  ...details.map((detail) => canonicalJson(detail)).toSorted(),
];
