/**
 * Reports on disk. Each process writes files of its own, held by a lock; those of one that is gone are taken over. A file is only ever appended to, and
 * written through to the disk before the next batch; what a crash left of its last line is counted as lost. A file goes when the server has all of it:
 * whatever was sent of it before a crash is sent again, and known there.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { fits, type Line, readLine } from './line.ts';
import { type Lock, lockFile } from './lock.ts';
import type { Losses } from './losses.ts';
import { batchFrom, type Store, type Taken } from './store.ts';

export interface Disk extends Store {
  /** Appends these, written through when it resolves; those without room are lost. @throws Error of the file system: then none was kept for sure */
  keep(lines: readonly Line[]): Promise<void>;
  /** Takes over what processes that are gone have left. */
  adopt(): Promise<void>;
  /** Lets go of everything; what waits stays for the next. */
  close(): Promise<void>;
}

/** Small, so that little is sent twice after a crash. */
const segmentBytes = 256 * 1024;

interface Segment {
  file: string;
  bytes: number;
  /** What is left to be sent of it, once it was read. */
  lines?: Line[];
  sent: number;
}

/**
 * @param folder of reports about one resource alone; made, for its owner alone
 * @throws Error of the file system
 */
export async function openDisk(folder: string, maxBytes: number, losses: Losses): Promise<Disk> {
  await makeOwn(folder);
  const lane = randomBytes(8).toString('hex');
  const locks = new Map<string, Lock>();
  const own = await lockFile(path.join(folder, `${lane}.lock`));
  if (own === undefined) throw new Error(`${folder} can't be locked`);
  const segments: Segment[] = [];
  let total = 0;
  let current: { segment: Segment; handle: FileHandle } | undefined;
  let made = 0;
  const serial = inTurn();

  async function begin(): Promise<{ segment: Segment; handle: FileHandle }> {
    const file = path.join(folder, `${lane}-${String(++made).padStart(8, '0')}.jsonl`);
    const handle = await open(file, 'ax', 0o600);
    await syncFolder(folder);
    const segment = { file, bytes: 0, sent: 0 };
    segments.push(segment);
    return { segment, handle };
  }

  async function end(): Promise<void> {
    const { handle } = current ?? {};
    current = undefined;
    await handle?.close();
  }

  async function keep(lines: readonly Line[]): Promise<void> {
    const kept: Line[] = [];
    let bytes = 0;
    for (const line of lines) {
      if (fits(line, total + bytes, maxBytes)) {
        kept.push(line);
        bytes += line.bytes;
      } else losses.note('full', line);
    }
    if (kept.length === 0) return;
    current ??= await begin();
    const { segment, handle } = current;
    try {
      await handle.appendFile(kept.map(({ text }) => `${text}\n`).join(''));
      await handle.datasync();
    } catch (error) {
      // what was written of it may stay, and be sent twice: that is known there. The next goes into a file of its own
      const { size } = await handle.stat().catch(() => ({ size: segment.bytes }));
      total += size - segment.bytes;
      segment.bytes = size;
      await end();
      throw error;
    }
    segment.bytes += bytes;
    total += bytes;
    if (segment.bytes >= segmentBytes) await end();
  }

  async function oldest(): Promise<Taken | undefined> {
    for (let segment = segments[0]; segment !== undefined; segment = segments[0]) {
      if (segment === current?.segment) await end();
      try {
        segment.lines ??= await linesOf(segment.file, losses);
      } catch {
        // one that can't be read must not hold up the others: it stays for whoever looks after the folder
        losses.note('unreadable');
        leave(segment);
        continue;
      }
      const lines = batchFrom(segment.lines, segment.sent);
      if (lines.length > 0) return { lines, settled: () => serial(() => settled(segment, lines.length)) };
      await drop(segment);
    }
    for (const [name, lock] of locks) {
      locks.delete(name);
      await lock.remove();
    }
    return undefined;
  }

  async function settled(segment: Segment, count: number): Promise<void> {
    segment.sent += count;
    if (segment.sent >= (segment.lines?.length ?? 0)) await drop(segment);
  }

  async function drop(segment: Segment): Promise<void> {
    leave(segment);
    await unlink(segment.file);
  }

  function leave(segment: Segment): void {
    const index = segments.indexOf(segment);
    if (index >= 0) segments.splice(index, 1);
    total -= segment.bytes;
  }

  async function adopt(): Promise<void> {
    const files = await readdir(folder);
    const lanes = new Set(files.map((name) => /^([0-9a-f]{16})(?:\.lock|-\d{8}\.jsonl)$/.exec(name)?.[1]));
    for (const each of lanes) {
      if (each === undefined || each === lane || locks.has(each)) continue;
      const lock = await lockFile(path.join(folder, `${each}.lock`));
      if (lock === undefined) continue;
      locks.set(each, lock);
      // named again under the lock: its owner may have sent and removed some meanwhile
      const left = (await readdir(folder)).filter((name) => name.startsWith(`${each}-`)).sort();
      for (const name of left.reverse()) {
        const file = path.join(folder, name);
        const { size } = await stat(file);
        segments.unshift({ file, bytes: size, sent: 0 });
        total += size;
      }
    }
  }

  return {
    keep: (lines) => serial(() => keep(lines)),
    oldest: () => serial(oldest),
    adopt: () => serial(adopt),
    close: () =>
      serial(async () => {
        await end();
        for (const lock of locks.values()) lock.release();
        locks.clear();
        const isEmpty = segments.every(({ file }) => !path.basename(file).startsWith(lane));
        if (isEmpty) await own.remove();
        else own.release();
      }),
  };
}

/**
 * Makes the folder, for its owner alone. Its name can be foretold: a link that somebody else laid there, or a folder of theirs, is not taken for it.
 * @throws Error
 */
async function makeOwn(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const uid = process.getuid?.();
  if (uid === undefined) return; // Windows has neither owners nor modes of this kind
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  const handle = await open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch((cause: unknown) => {
    throw new Error(`${folder} is no folder that reports can be kept in (a link is none)`, { cause });
  });
  try {
    if ((await handle.stat()).uid !== uid) throw new Error(`${folder} belongs to another user`);
    await handle.chmod(0o700);
  } finally {
    await handle.close();
  }
}

async function linesOf(file: string, losses: Losses): Promise<Line[]> {
  const texts = (await readFile(file, 'utf8')).split('\n').filter((text) => text !== '');
  return texts.flatMap((text) => {
    const line = readLine(text);
    if (line === undefined) losses.note('unreadable');
    return line ?? [];
  });
}

/** A new file is there after a power cut only if its folder was written through too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined); // Windows opens no folders
  await handle?.sync().catch(() => {});
  await handle?.close();
}

/** Runs one thing after the other, whatever became of those before. */
function inTurn(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work, work);
    last = next.catch(() => {});
    return next;
  };
}
