import type { AuthorizationDetail } from './details.ts';
import { ProtocolError } from './errors.ts';

/** How much harm an operation can do, the least first. */
export const sensitivities = ['low', 'medium', 'high'] as const;
export type Sensitivity = (typeof sensitivities)[number];

/** One thing that a resource lets be done, and the scopes it takes: all of them. What isn't listed is refused. */
export interface Operation {
  name: string;
  method?: string;
  /** A template relative to the resource's path: `/tickets/{id}`, `/files/{rest*}`. */
  path?: string;
  tool?: string;
  scope: string[];
  /** What a token must have been granted besides (RFC 9396); `{name}` stands for a parameter of the path or an argument of the tool, `{*}` for what the API reads itself. */
  details?: AuthorizationDetail;
  sensitivity: Sensitivity;
  /** Of a tool: a hash of its definition when somebody last looked at it. A tool that says something else is refused. */
  definition?: string;
}

export type OperationMatcher = (method: string, path: string) => Operation | undefined;

interface Node {
  exact: Map<string, Node>;
  parameter?: Node;
  /** What ends here; in a tree of loose readings it can be several. */
  rest: Operation[];
  end: Operation[];
}

/** One method's operations: as they are written, and as a generous router reads them. */
interface Trees {
  written: Node;
  loose: Node;
  /** A template is itself written in a way that loose reading changes: then every path is looked at twice. */
  irregular: boolean;
}

const maxPathLength = 8192;

/**
 * Prepares operations for matching. In each segment an exact one wins over `{parameter}`, and that over `{rest*}`, which stands at the end only and takes
 * one segment or more. `HEAD` is matched as `GET` where it isn't listed itself. Tools are not matched here.
 *
 * The path is given raw, without its query. It is understood the way a router would after decoding; where routers differ (encoded slashes and backslashes,
 * dot segments, empty segments, NUL and other control characters, double encoding) nothing matches, so that no request means one operation here and
 * another behind. Nor does anything match where a router that ignores letter case, a trailing slash, what follows a `;` or a format at the end
 * (`.json`) would come to another operation than the path as it is written: `/files/ADMIN` and `/files/admin.json` are not `/files/{rest*}` when
 * `/files/admin` is listed. A path whose last segment is listed as it is, `/files/admin.json`, is that one.
 *
 * @throws ProtocolError `bad_operation` for a template that is wrong or twice there
 */
export function compileOperations(operations: readonly Operation[]): OperationMatcher {
  const methods = new Map<string, Trees>();
  for (const operation of operations) {
    if (operation.path !== undefined || operation.method !== undefined) add(methods, operation);
    else if (operation.tool === undefined) throw bad(operation, 'needs a method and a path, or a tool');
  }
  return (method, path) => {
    const segments = segmentsOf(path);
    if (segments === undefined) return undefined;
    const own = methods.get(method);
    const instead = method === 'HEAD' ? methods.get('GET') : undefined;
    const found = (match(own?.written, segments, 0) ?? match(instead?.written, segments, 0))?.[0];
    if (found === undefined) return undefined;
    if (!own?.irregular && !instead?.irregular && !mayBeReadLoosely(path)) return found;
    const isExact = !/\}\/?$/.test(found.path as string);
    for (const reading of looseReadings(segments, isExact)) {
      const meant = match(own?.loose, reading, 0) ?? match(instead?.loose, reading, 0);
      if (meant !== undefined && !meant.includes(found)) return undefined;
    }
    return found;
  };
}

/**
 * The parameters of a path that was matched to this operation, decoded; what `{rest*}` took is joined by `/`. Of a tool, none: it has arguments.
 * A name that stands twice in the template, with two values in the path, is left out: nothing said about it is taken as met.
 * Not part of matching, because few decisions depend on it.
 */
export function parametersOf({ path: template }: Operation, path: string): Readonly<Record<string, string>> {
  const parameters: Record<string, string> = Object.create(null); // a parameter may have any name
  const segments = template === undefined ? undefined : segmentsOf(path);
  if (template === undefined || segments === undefined) return parameters;
  const ambiguous: string[] = [];
  for (const [index, segment] of (segmentsOf(template) ?? []).entries()) {
    const [, name, rest] = parameterSegment.exec(segment) ?? [];
    const value = rest === '*' ? segments.slice(index).join('/') : segments[index];
    if (name === undefined || value === undefined) continue;
    if (Object.hasOwn(parameters, name) && parameters[name] !== value) ambiguous.push(name);
    parameters[name] = value;
  }
  for (const name of ambiguous) delete parameters[name];
  return parameters;
}

/** The names of an operation's parameters; undefined for a tool, whose arguments can have any. */
export function parameterNames({ path }: Pick<Operation, 'path'>): string[] | undefined {
  return path === undefined
    ? undefined
    : (segmentsOf(path) ?? []).flatMap((segment) => parameterSegment.exec(segment)?.[1] ?? []);
}

const parameterSegment = /^\{([A-Za-z_]\w*)(\*?)\}$/;

function add(methods: Map<string, Trees>, operation: Operation): void {
  const { method, path } = operation;
  if (method === undefined || !/^[A-Z][A-Z-]{0,31}$/.test(method)) throw bad(operation, 'needs a method in capitals');
  if (path === undefined) throw bad(operation, 'needs a path');
  const segments = segmentsOf(path);
  if (segments === undefined) throw bad(operation, 'has a path that no request could have');
  const trees = methods.get(method) ?? { written: newNode(), loose: newNode(), irregular: false };
  methods.set(method, trees);
  const [first] = place(trees.written, segments, operation);
  if (first !== undefined && first !== operation) throw bad(operation, `has the method and path of ${first.name}`);
  const loose = segments.map((segment) => (segment.startsWith('{') ? segment : loosened(segment)));
  if (loose.at(-1) === '') loose.pop();
  place(trees.loose, loose, operation);
  if (path !== '/' && `/${loose.join('/')}` !== `/${segments.join('/')}`) trees.irregular = true;
}

/** Puts an operation where its path leads, and returns all that is there. */
function place(root: Node, segments: readonly string[], operation: Operation): readonly Operation[] {
  let node = root;
  for (const [index, segment] of segments.entries()) {
    if (/^\{[A-Za-z_]\w*\*\}$/.test(segment)) {
      if (index < segments.length - 1) throw bad(operation, 'has {rest*} before the end of its path');
      node.rest.push(operation);
      return node.rest;
    }
    node = next(node, segment, operation);
  }
  node.end.push(operation);
  return node.end;
}

function next(node: Node, segment: string, operation: Operation): Node {
  if (/^\{[A-Za-z_]\w*\}$/.test(segment)) {
    node.parameter ??= newNode();
    return node.parameter;
  }
  if (/[{}*]/.test(segment)) throw bad(operation, 'may have {name} or {name*} as whole segments only');
  const known = node.exact.get(segment) ?? newNode();
  node.exact.set(segment, known);
  return known;
}

function newNode(): Node {
  return { exact: new Map(), rest: [], end: [] };
}

/** Each node lies at one depth and is reached from one parent, so this visits none twice: no backtracking to exploit. */
function match(node: Node | undefined, segments: readonly string[], index: number): readonly Operation[] | undefined {
  if (node === undefined) return undefined;
  const segment = segments[index];
  if (segment === undefined) return node.end.length > 0 ? node.end : undefined;
  const exact = match(node.exact.get(segment), segments, index + 1);
  if (exact !== undefined) return exact;
  if (segment === '') return undefined;
  return match(node.parameter, segments, index + 1) ?? (node.rest.length > 0 ? node.rest : undefined);
}

/** Cheap, and true too often rather than too rarely: most paths are in small letters, and are looked up once. */
function mayBeReadLoosely(path: string): boolean {
  return path.length > 1 && (path.endsWith('/') || /[A-Z;.%\u0080-\uffff]/.test(path));
}

/**
 * How generous routers read a path: `;…` cut off each segment, or with all that follows it; no trailing slash; no letter case; and of a last segment that
 * isn't listed as it is, no format, and no dots or blanks at its end.
 */
function looseReadings(segments: readonly string[], isExact: boolean): string[][] {
  const each = segments.map(loosened);
  if (each.at(-1) === '') each.pop();
  const cut = segments.findIndex((segment) => segment.includes(';'));
  const readings = cut < 0 ? [each] : [each, each.slice(0, cut + 1)];
  if (isExact) return readings;
  return readings.flatMap((reading) => {
    const last = reading.at(-1);
    if (last === undefined) return [reading];
    return [reading, ...withoutFormat(last).map((shorter) => [...reading.slice(0, -1), shorter])];
  });
}

/** `export.tar.gz` is `export.tar` to one router, and `export` to another. */
function withoutFormat(segment: string): string[] {
  const ends = [segment.length, segment.lastIndexOf('.'), segment.indexOf('.')];
  const shorter = ends.filter((end) => end > 0).map((end) => trimmedEnd(segment.slice(0, end)));
  return [...new Set(shorter)].filter((each) => each !== '' && each !== segment);
}

/** No expression: it would look at a long run of blanks once for each of them. */
function trimmedEnd(segment: string): string {
  let end = segment.length;
  while (end > 0 && (segment[end - 1] === '.' || segment.slice(end - 1, end).trim() === '')) end -= 1;
  return segment.slice(0, end);
}

function loosened(segment: string): string {
  const end = segment.indexOf(';');
  const folded = (end < 0 ? segment : segment.slice(0, end)).toLowerCase();
  // Outside ASCII there are letters that only meet in capitals: ſ and s.
  return /[\u0080-\uffff]/.test(folded) ? folded.toUpperCase().toLowerCase() : folded;
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
  // A segment that is nothing but a parameter (`;x`) is an empty one to whoever cuts that off.
  if (/^(?:\.{1,2}$|\.{0,2};)/.test(segment) || segment.includes('\\')) return undefined;
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
