import { ProtocolError } from './errors.ts';

/** One thing that a resource lets be done, and the scopes it takes: all of them. What isn't listed is refused. */
export interface Operation {
  name: string;
  method?: string;
  /** A template relative to the resource's path: `/tickets/{id}`, `/files/{rest*}`. */
  path?: string;
  tool?: string;
  scope: string[];
  sensitivity: 'low' | 'medium' | 'high';
}

export type OperationMatcher = (method: string, path: string) => Operation | undefined;

interface Node {
  exact: Map<string, Node>;
  /** The exact segments in lower case: see `match`. */
  folded: Set<string>;
  parameter?: Node;
  rest?: Operation;
  end?: Operation;
}

const maxPathLength = 8192;

/**
 * Prepares operations for matching. In each segment an exact one wins over `{parameter}`, and that over `{rest*}`, which stands at the end only and takes
 * one segment or more. `HEAD` is matched as `GET` where it isn't listed itself. Tools are not matched here.
 *
 * The path is given raw, without its query. It is understood the way a router would after decoding; where routers differ (encoded slashes and backslashes,
 * dot segments, empty segments, NUL and other control characters, double encoding, letter case of a listed segment) nothing matches,
 * so that no request means one operation here and another behind.
 *
 * @throws ProtocolError `bad_operation` for a template that is wrong or twice there
 */
export function compileOperations(operations: readonly Operation[]): OperationMatcher {
  const methods = new Map<string, Node>();
  for (const operation of operations) {
    if (operation.path !== undefined || operation.method !== undefined) add(methods, operation);
    else if (operation.tool === undefined) throw bad(operation, 'needs a method and a path, or a tool');
  }
  return (method, path) => {
    const segments = segmentsOf(path);
    if (segments === undefined) return undefined;
    const found = match(methods.get(method), segments, 0);
    return found ?? (method === 'HEAD' ? match(methods.get('GET'), segments, 0) : undefined);
  };
}

function add(methods: Map<string, Node>, operation: Operation): void {
  const { method, path } = operation;
  if (method === undefined || !/^[A-Z][A-Z-]{0,31}$/.test(method)) throw bad(operation, 'needs a method in capitals');
  if (path === undefined) throw bad(operation, 'needs a path');
  let node = methods.get(method) ?? newNode();
  methods.set(method, node);
  const segments = segmentsOf(path);
  if (segments === undefined) throw bad(operation, 'has a path that no request could have');
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (/^\{[A-Za-z_]\w*\*\}$/.test(segment)) {
      if (!last) throw bad(operation, 'has {rest*} before the end of its path');
      if (node.rest !== undefined) throw bad(operation, `has the method and path of ${node.rest.name}`);
      node.rest = operation;
      return;
    }
    node = next(node, segment, operation);
  }
  if (node.end !== undefined) throw bad(operation, `has the method and path of ${node.end.name}`);
  node.end = operation;
}

function next(node: Node, segment: string, operation: Operation): Node {
  if (/^\{[A-Za-z_]\w*\}$/.test(segment)) {
    node.parameter ??= newNode();
    return node.parameter;
  }
  if (/[{}*]/.test(segment)) throw bad(operation, 'may have {name} or {name*} as whole segments only');
  const known = node.exact.get(segment) ?? newNode();
  node.exact.set(segment, known);
  node.folded.add(segment.toLowerCase());
  return known;
}

function newNode(): Node {
  return { exact: new Map(), folded: new Set() };
}

/** Each node lies at one depth and is reached from one parent, so this visits none twice: no backtracking to exploit. */
function match(node: Node | undefined, segments: readonly string[], index: number): Operation | undefined {
  if (node === undefined) return undefined;
  const segment = segments[index];
  if (segment === undefined) return node.end;
  const exact = match(node.exact.get(segment), segments, index + 1);
  if (exact !== undefined) return exact;
  if (segment === '') return undefined;
  // A router that ignores case would take /tickets/ADMIN for the listed /tickets/admin: it must not pass as /tickets/{id}.
  if (!node.exact.has(segment) && node.folded.size > 0 && node.folded.has(segment.toLowerCase())) return undefined;
  return match(node.parameter, segments, index + 1) ?? node.rest;
}

/** The decoded segments of a path, or undefined if it could be understood in more than one way. A trailing slash is an empty last segment. */
function segmentsOf(path: string): string[] | undefined {
  if (path.charCodeAt(0) !== 0x2f || path.length > maxPathLength) return undefined;
  const segments = path.slice(1).split('/');
  for (let i = 0; i < segments.length; i++) {
    const segment = decoded(segments[i] as string);
    if (segment === undefined || (segment === '' && i < segments.length - 1)) return undefined;
    segments[i] = segment;
  }
  return segments;
}

function decoded(raw: string): string | undefined {
  let segment = raw;
  if (raw.includes('%')) {
    try {
      segment = decodeURIComponent(raw);
    } catch {
      return undefined;
    }
    // Still encoded after decoding: a second decoder behind us would see something else.
    if (/[/?#]|%[0-9a-fA-F]{2}/.test(segment)) return undefined;
  }
  if (/^\.{1,2}(;|$)/.test(segment) || segment.includes('\\')) return undefined;
  // No request line has these; a URL parser would cut the path there.
  if (/[?# ]/.test(raw)) return undefined;
  return hasControl(segment) ? undefined : segment;
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

function bad(operation: Operation, why: string): ProtocolError {
  return new ProtocolError('bad_operation', `operation ${operation.name} ${why}`);
}
