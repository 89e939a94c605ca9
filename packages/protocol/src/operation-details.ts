import {
  type AuthorizationDetail,
  areWithin,
  type ComparedType,
  type OperationDetail,
  operationType,
} from './details.ts';
import type { Operation } from './operations.ts';

/** Parameters of a path, or arguments of a tool, by name. */
export type OperationParameters = Readonly<Record<string, unknown>>;

/** What a token grants on one resource. */
export interface Granted {
  scope: ReadonlySet<string>;
  details: readonly AuthorizationDetail[];
  /** The resource's types of details. */
  types: readonly ComparedType[];
}

/**
 * Stands in an operation's `details` for what the request shows to the API alone, in its body: the guard asks that the rest is covered, and the API
 * holds this against the token itself. Without it a token that bounds the member doesn't cover the operation.
 */
export const readByApi = '{*}';

const placeholder = /^\{([A-Za-z_]\w*)\}$/;

/**
 * Whether a token may do an operation. Either its scopes are all that the operation takes and, where the operation has `details`, one
 * of the token's covers what the request makes of them; or a detail of the built-in type `operation` names it and the
 * parameters are of the values that it lists. Never throws for what a token or a request holds.
 * @param parameters asked for only if something depends on them: finding them costs more than most decisions
 */
export function grantsOperation(
  operation: Operation,
  { scope, details, types }: Granted,
  parameters: () => OperationParameters,
): boolean {
  try {
    if (operation.scope.every((each) => scope.has(each))) {
      if (operation.details === undefined) return true;
      if (details.length > 0) {
        const own = membersReadByApi(operation.details);
        const bounds = own.length === 0 ? details : details.map((detail) => without(detail, own));
        if (areWithin(types, [detailOf(operation.details, parameters())], bounds)) return true;
      }
    }
    return details.some(
      (detail) => detail.type === operationType && namesOperation(detail as OperationDetail, operation, parameters),
    );
  } catch {
    return false;
  }
}

/**
 * What a request makes of an operation's `details`: `{name}` as a whole value becomes that parameter, of the path or of the tool. A member whose
 * parameter the request lacks is left out, so that nothing that a token says about it is taken as met; so is what the API reads itself.
 */
export function detailOf(template: AuthorizationDetail, parameters: OperationParameters): AuthorizationDetail {
  const shown = without(template, membersReadByApi(template));
  return { ...(filled(shown, parameters) as AuthorizationDetail), type: template.type };
}

const membersReadByApi = (template: AuthorizationDetail): string[] =>
  Object.keys(template).filter((member) => template[member] === readByApi);

const without = (detail: AuthorizationDetail, members: readonly string[]): AuthorizationDetail =>
  members.length === 0
    ? detail
    : (Object.fromEntries(
        Object.entries(detail).filter(([member]) => !members.includes(member)),
      ) as AuthorizationDetail);

/** The parameters that a template of details mentions, each once. */
export function parametersIn(template: unknown): string[] {
  const names = new Set<string>();
  const collect = (value: unknown): void => {
    if (typeof value === 'string') {
      const name = placeholder.exec(value)?.[1];
      if (name !== undefined) names.add(name);
    } else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect);
  };
  collect(template);
  return [...names];
}

function namesOperation(
  { actions, parameters: wanted }: OperationDetail,
  { name }: Operation,
  parameters: () => OperationParameters,
): boolean {
  if (!Array.isArray(actions) || !actions.includes(name)) return false;
  if (wanted === undefined) return true;
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted)) return false;
  const given = parameters();
  return Object.entries(wanted).every(
    ([parameter, values]) =>
      Array.isArray(values) && Object.hasOwn(given, parameter) && values.includes(asText(given[parameter])),
  );
}

/** A tool's argument as a detail can list it: numbers and booleans as JSON writes them. Anything else equals nothing. */
function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'boolean' || Number.isFinite(value) ? String(value) : undefined;
}

/** A parameter that isn't there. */
const nothing = Symbol('nothing');

function filled(template: unknown, parameters: OperationParameters): unknown {
  if (typeof template === 'string') {
    const name = placeholder.exec(template)?.[1];
    if (name === undefined) return template;
    return Object.hasOwn(parameters, name) && parameters[name] !== undefined ? parameters[name] : nothing;
  }
  if (Array.isArray(template)) {
    const items = template.map((item) => filled(item, parameters));
    return items.includes(nothing) ? nothing : items;
  }
  if (typeof template !== 'object' || template === null) return template;
  const members: [string, unknown][] = [];
  for (const [member, value] of Object.entries(template)) {
    const made = filled(value, parameters);
    if (made !== nothing) members.push([member, made]);
  }
  return Object.fromEntries(members);
}
