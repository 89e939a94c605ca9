/**
 * Lines in files of the configured folder: a folder for each exporter, a file for each day (UTC), more where one would grow too large.
 * They are made for their owner alone, and nothing of ours ever shortens or removes what is complete.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { DeliveryError, type FileTarget } from './exporter.ts';

const endings: Readonly<Record<FileTarget['format'], string>> = { jsonl: 'jsonl', ocsf: 'ocsf.jsonl', cef: 'cef' };

/** What is read of a file's end to find where its last whole line ends. */
const tailBytes = 64 * 1024;

export interface FilePlace {
  /** The configured folder; it must be there. */
  directory: string;
  /** The exporter's id. */
  id: string;
  target: FileTarget;
  /** Milliseconds: says which day it is. */
  now: number;
}

/**
 * Appends lines and makes them durable. Where it fails nothing of them remains, as far as the disk allows; what a crash left of a line is
 * taken away before the next one.
 * @throws DeliveryError
 */
export async function appendLines(place: FilePlace, lines: readonly string[]): Promise<void> {
  const name = path.join(place.directory, place.id);
  const before = writing.get(name) ?? Promise.resolve();
  const mine = before.then(() => appendAlone(place, lines));
  const over = mine.catch(() => undefined);
  writing.set(name, over);
  try {
    await mine;
  } finally {
    if (writing.get(name) === over) writing.delete(name);
  }
}

/** Who appends to an exporter's files waits for who does: half a line of another's would be taken for what a crash left. */
const writing = new Map<string, Promise<void>>();

async function appendAlone(place: FilePlace, lines: readonly string[]): Promise<void> {
  try {
    await append(place, Buffer.from(lines.map((line) => `${line}\n`).join(''), 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new DeliveryError(`the file in exports.directory can't be written (${code})`);
  }
}

async function append(place: FilePlace, bytes: Buffer): Promise<void> {
  const folder = path.join(place.directory, place.id);
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  let n = await lastOf(folder, place);
  for (;;) {
    const file = path.join(folder, fileName(place, n));
    // what somebody put there instead is not followed
    const flags = constants.O_APPEND | constants.O_CREAT | constants.O_RDWR | constants.O_NOFOLLOW;
    const handle = await open(file, flags, 0o600);
    try {
      const size = await wholeLines(handle);
      if (size > 0 && size + bytes.length > place.target.max_bytes) {
        n += 1;
        continue;
      }
      await written(handle, bytes, size);
      if (size === 0) await durableEntry(folder);
      return;
    } finally {
      await handle.close();
    }
  }
}

async function written(handle: FileHandle, bytes: Buffer, size: number): Promise<void> {
  try {
    await handle.appendFile(bytes);
    await handle.datasync();
  } catch (error) {
    await handle.truncate(size).catch(() => undefined); // the disk is full: the next attempt finds whole lines anyway
    throw error;
  }
}

const dayOf = (now: number): string => new Date(now).toISOString().slice(0, 10);

const fileName = ({ target, now }: FilePlace, n: number): string =>
  `events-${dayOf(now)}-${String(n).padStart(4, '0')}.${endings[target.format]}`;

/** The number of the day's last file, 1 if there is none yet. */
async function lastOf(folder: string, place: FilePlace): Promise<number> {
  const start = `events-${dayOf(place.now)}-`;
  const end = `.${endings[place.target.format]}`;
  const numbers = (await readdir(folder))
    .filter((name) => name.startsWith(start) && name.endsWith(end))
    .map((name) => Number(name.slice(start.length, -end.length)))
    .filter(Number.isSafeInteger);
  return Math.max(1, ...numbers);
}

/** The size up to which a file is whole lines; what lies behind is taken away: a crash left it, and it comes again. */
async function wholeLines(handle: FileHandle): Promise<number> {
  const found = await handle.stat();
  if (!found.isFile()) throw new DeliveryError('what lies in exports.directory is no file');
  let end = found.size;
  const buffer = Buffer.alloc(tailBytes);
  while (end > 0) {
    const from = Math.max(0, end - tailBytes);
    const { bytesRead } = await handle.read(buffer, 0, end - from, from);
    const lineEnd = buffer.subarray(0, bytesRead).lastIndexOf(0x0a);
    if (lineEnd >= 0) {
      end = from + lineEnd + 1;
      break;
    }
    end = from;
  }
  if (end < found.size) await handle.truncate(end);
  return end;
}

/** A new file is there after a power cut only if its folder says so. */
async function durableEntry(folder: string): Promise<void> {
  for (const one of [folder, path.dirname(folder)]) {
    const handle = await open(one, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}
