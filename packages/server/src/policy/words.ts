/** What the words of the schema are of: told by the schema itself, so that they can't differ. */
import type { Cedar } from './cedar.ts';
import { policySchema } from './schema.ts';

/** What a path leads to. `other` is remembered as it is; the rest can be compared by us, exactly as Cedar would. */
export type Kind = 'string' | 'long' | 'strings' | 'address' | 'instant' | 'other';

/** A value that a policy reads: of a variable, by its attributes; the last step may be a tag. */
export interface Path {
  of: 'principal' | 'resource' | 'context';
  steps: readonly string[];
  tag?: string;
}

/** Which requests there can be: principal and resource types for each action. */
export type Shapes = ReadonlyMap<string, { principals: readonly string[]; resources: readonly string[] }>;

export interface Words {
  kindOf(path: Path): Kind;
  shapes: Shapes;
}

interface TypeJson {
  type: string;
  name?: string;
  element?: TypeJson;
  attributes?: Record<string, TypeJson>;
}

/** Reads the schema. */
export function wordsOf({ schemaToJsonWithResolvedTypes }: Cedar): Words {
  const answer = schemaToJsonWithResolvedTypes(policySchema);
  if (answer.type === 'failure') throw new Error(`the schema is wrong: ${answer.errors[0]?.message}`);
  const {
    commonTypes = {},
    entityTypes,
    actions,
  } = answer.json[''] as unknown as {
    commonTypes: Record<string, TypeJson>;
    entityTypes: Record<string, { shape?: TypeJson }>;
    actions: Record<string, { appliesTo: { principalTypes: string[]; resourceTypes: string[] } }>;
  };
  const resolved = (type: TypeJson): TypeJson =>
    Object.hasOwn(commonTypes, type.type) ? resolved(commonTypes[type.type] as TypeJson) : type;

  const shapes = new Map(
    Object.entries(actions).map(([action, { appliesTo }]) => [
      action,
      { principals: appliesTo.principalTypes, resources: appliesTo.resourceTypes },
    ]),
  );
  const typesOf = (of: 'principals' | 'resources') => [...new Set([...shapes.values()].flatMap((shape) => shape[of]))];

  function typeAt(from: TypeJson | undefined, steps: readonly string[]): TypeJson | undefined {
    let type = from && resolved(from);
    for (const step of steps) {
      const next =
        type?.attributes !== undefined && Object.hasOwn(type.attributes, step) ? type.attributes[step] : undefined;
      type = next && resolved(next);
    }
    return type;
  }

  return {
    shapes,
    kindOf({ of, steps, tag }) {
      // the schema's tags are strings
      if (tag !== undefined) return 'string';
      if (of === 'context') {
        return kindOfType(typeAt(commonTypes.Context, steps) ?? typeAt(commonTypes.Signal, steps));
      }
      const kinds = new Set(
        typesOf(of === 'principal' ? 'principals' : 'resources')
          .map((entity) => typeAt(entityTypes[entity]?.shape, steps))
          .filter((type) => type !== undefined)
          .map(kindOfType),
      );
      const [kind = 'other'] = kinds;
      return kinds.size === 1 ? kind : 'other';
    },
  };
}

function kindOfType(type: TypeJson | undefined): Kind {
  if (type?.type === 'String') return 'string';
  if (type?.type === 'Long') return 'long';
  if (type?.type === 'Set' && type.element?.type === 'String') return 'strings';
  const extension = type?.type === 'Extension' ? type.name : type?.type;
  if (extension === 'ipaddr') return 'address';
  if (extension === 'datetime') return 'instant';
  return 'other';
}
