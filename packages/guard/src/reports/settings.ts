import path from 'node:path';
import { GuardConfigError, type GuardOptions } from '../options.ts';

/** How uses are reported. Sizes in bytes. */
export interface ReportSettings {
  /** Where they wait on disk; undefined: in memory alone. */
  directory: string | undefined;
  maxBytes: number;
  maxMemory: number;
  flushMs: number;
  /** Whether they say from which address a request came. */
  address: boolean;
}

const kilobyte = 1024;
const megabyte = 1024 * kilobyte;

/**
 * @param hasCredential without one nobody would listen
 * @throws GuardConfigError
 */
export function reportsFrom({ reports = {} }: GuardOptions, hasCredential: boolean): ReportSettings | undefined {
  if (reports === false) return undefined;
  if (!hasCredential) {
    if (Object.keys(reports).length > 0) throw new GuardConfigError('reports need a credential.');
    return undefined;
  }
  const { directory, maxBytes = 64 * megabyte, maxMemory = 4 * megabyte, flushMs = 1000, ...rest } = reports;
  const { address = true, ...others } = rest;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new GuardConfigError(`reports knows no member "${unknown}".`);
  if (directory !== undefined && (typeof directory !== 'string' || directory === '')) {
    throw new GuardConfigError('reports.directory must be the path of a folder.');
  }
  if (typeof address !== 'boolean') throw new GuardConfigError('reports.address must be true or false.');
  return {
    directory: directory === undefined ? undefined : path.resolve(directory),
    maxBytes: between('reports.maxBytes', maxBytes, megabyte, Number.MAX_SAFE_INTEGER),
    maxMemory: between('reports.maxMemory', maxMemory, 64 * kilobyte, Number.MAX_SAFE_INTEGER),
    flushMs: between('reports.flushMs', flushMs, 10, 60_000),
    address,
  };
}

function between(name: string, value: number, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  const end = most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`;
  throw new GuardConfigError(`${name} must be a number from ${least}${end}.`);
}
