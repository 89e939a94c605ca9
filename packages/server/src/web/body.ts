/**
 * Reads a JSON body without trusting it: what would trouble a database, a prototype or a stack is refused here, so
 * that nothing behind has to think of it.
 */
import { badRequest, printableName } from './problem.ts';

const deepest = 16;

/** A parsed request body that holds no NUL, no broken UTF-16, no `__proto__`, and is at most 16 levels deep. */
export function parseJsonBody(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest([{ field: 'body', message: 'must be JSON' }]); // the parser's words would repeat the body
  }
  // an explicit stack: the depth is the caller's choice until it was checked
  const open: [value: unknown, path: string, depth: number][] = [[value, '', 0]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [here, path, depth] = next;
    if (typeof here === 'string') checkText(here, path);
    if (typeof here !== 'object' || here === null) continue;
    if (depth >= deepest) {
      throw badRequest([{ field: 'body', message: `must be at most ${deepest} levels deep` }]);
    }
    if (Array.isArray(here)) {
      for (const [index, item] of here.entries()) open.push([item, `${path}[${index}]`, depth + 1]);
      continue;
    }
    for (const [key, item] of Object.entries(here)) {
      checkText(key, path);
      if (key === '__proto__') throw badRequest([{ field: path || 'body', message: 'must not have this member' }]);
      open.push([item, path ? `${path}.${printableName(key)}` : printableName(key), depth + 1]);
    }
  }
  return value;
}

function checkText(text: string, path: string): void {
  if (text.includes('\0')) throw badRequest([{ field: path || 'body', message: 'must not contain U+0000' }]);
  if (!text.isWellFormed()) throw badRequest([{ field: path || 'body', message: 'must be well-formed Unicode' }]);
}
