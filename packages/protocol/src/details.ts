/** What is granted beyond scopes, down to single operations and their parameters. @see RFC 9396 §2 */
export interface AuthorizationDetail {
  type: string;
  readonly [member: string]: unknown;
}

/** How one member of a narrower detail must stand to that of a wider one. */
export const compareRules = ['equal', 'subset', 'at_most', 'at_least', 'prefix'] as const;
export type CompareRule = (typeof compareRules)[number];

/** A type of details as a resource registers it. */
export interface DetailsType {
  /** Unique within the resource. `operation` is built in. */
  type: string;
  /** What a person reads when they are asked for it. */
  description: string;
  /** JSON Schema of one detail of this type (a bounded part of draft 2020-12). */
  schema: Readonly<Record<string, unknown>>;
  /** By member; those that are not named must be equal. */
  compare: Readonly<Record<string, CompareRule>>;
}

/** The built-in type: names operations of the resource, and values of their path's or tool's parameters. */
export interface OperationDetail extends AuthorizationDetail {
  type: 'operation';
  /** Names of operations. @see RFC 9396 §2.2 */
  actions: readonly string[];
  /** By parameter, the values that it may have; one that isn't named may have any. */
  parameters?: Readonly<Record<string, readonly string[]>>;
}
