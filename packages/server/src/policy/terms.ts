/** The simplest parts of expressions: what stands in the policy, and what leads to a value of the request. */
import { type Prefix, readNetwork } from '@bailiwick/protocol';
import type { Expr, TypeAndId } from './cedar.ts';
import type { Path } from './words.ts';

/** `principal.owner`, `context.task.workflow`, `principal.getTag("zone")`; `principal` alone has no steps. */
export function pathOf(expr: Expr): Path | undefined {
  if ('Var' in expr) {
    const { Var: variable } = expr as { Var: string };
    return variable === 'action' ? undefined : { of: variable as Path['of'], steps: [] };
  }
  if ('.' in expr) {
    const { left, attr } = expr['.'] as { left: Expr; attr: string };
    const path = pathOf(left);
    return path === undefined || path.tag !== undefined ? undefined : { of: path.of, steps: [...path.steps, attr] };
  }
  if ('getTag' in expr) {
    const { left, right } = expr.getTag as { left: Expr; right: Expr };
    const path = pathOf(left);
    const tag = literalOf(right);
    if (path === undefined || path.tag !== undefined || typeof tag !== 'string' || !hasTags(path)) return undefined;
    return { ...path, tag };
  }
  return undefined;
}

/** Whether it leads to an entity, as far as our schema has them. */
export const hasTags = ({ of, steps }: Path): boolean =>
  of === 'context' ? steps.length === 1 && steps[0] === 'claimed' : steps.length === 0;

/** A string or a whole number, as it stands in the policy. */
export function literalOf(expr: Expr): string | number | undefined {
  if (!('Value' in expr)) return undefined;
  const { Value: value } = expr as { Value: unknown };
  if (typeof value === 'string') return value;
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

/** `["a", "b"]` */
export function stringsOf(expr: Expr): readonly string[] | undefined {
  if (!('Set' in expr)) return undefined;
  const list = (expr.Set as Expr[]).map(literalOf);
  return list.every((each) => typeof each === 'string') ? (list as string[]) : undefined;
}

/** `Role::"reader"` */
export function entityOf(expr: Expr): TypeAndId | undefined {
  return 'Value' in expr ? entityIn((expr as { Value: unknown }).Value) : undefined;
}

/** `Role::"reader"` as Cedar's JSON has the value; undefined where it is another. */
export function entityIn(value: unknown): TypeAndId | undefined {
  if (typeof value !== 'object' || value === null || !('__entity' in value)) return undefined;
  const { type, id } = value.__entity as TypeAndId;
  return { type, id };
}

/** `Role::"reader"` or `[Role::"reader", Role::"writer"]` */
export function entitiesOf(expr: Expr): readonly TypeAndId[] | undefined {
  const one = entityOf(expr);
  if (one !== undefined) return [one];
  if (!('Set' in expr)) return undefined;
  const list = (expr.Set as Expr[]).map(entityOf);
  return list.every((each) => each !== undefined) ? (list as TypeAndId[]) : undefined;
}

/**
 * `ip("10.0.0.0/8")`, where Cedar understands it as we do: an IPv4 address that is written as IPv6 is one to us, and not to Cedar.
 */
export function networkOf(expr: Expr): Prefix | undefined {
  const text = argumentOf(expr, 'ip');
  const network = text === undefined ? undefined : readNetwork(text);
  return network === undefined || text?.includes(':') !== (network.bits === 128) ? undefined : network;
}

/** `datetime("2026-11-23T02:00:00+0100")`, in milliseconds. */
export function instantOf(expr: Expr): number | undefined {
  const [, date, time = 'T00:00:00', fraction = '', offset = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d:\d\d)?(\.\d{3})?(Z|[+-]\d{4})?$/.exec(argumentOf(expr, 'datetime') ?? '') ?? [];
  if (date === undefined) return undefined;
  const at = Date.parse(`${date}${time}${fraction}${offset.replace(/(\d\d)$/, ':$1')}`);
  return Number.isNaN(at) ? undefined : at;
}

function argumentOf(expr: Expr, name: string): string | undefined {
  if (!Object.hasOwn(expr, name)) return undefined;
  const given = (expr as Record<string, unknown>)[name];
  const literal = Array.isArray(given) && given.length === 1 ? literalOf(given[0] as Expr) : undefined;
  return typeof literal === 'string' ? literal : undefined;
}
