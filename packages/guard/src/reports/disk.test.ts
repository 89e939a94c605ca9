import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openDisk } from './disk.ts';
import { lineOf } from './line.ts';
import { countLosses } from './losses.ts';

test('a file that can’t be read is counted as lost, and holds up nothing', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-disk-'));
  try {
    mkdirSync(path.join(folder, `${'a'.repeat(16)}-00000001.jsonl`));
    const losses = countLosses(() => 0);
    const disk = await openDisk(folder, 1_000_000, losses);
    await disk.adopt();
    const at = new Date(0).toISOString();
    await disk.keep([lineOf({ type: 'access.unproven', id: 'x'.repeat(16), at, since: at, counts: { a: 1 } })]);
    assert.equal((await disk.oldest())?.lines.length, 1);
    assert.deepEqual(losses.take()?.causes, { unreadable: 1 });
    await disk.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a link is no folder for reports, and what it leads to stays as it was', {
  skip: process.platform === 'win32',
}, async () => {
  const at = mkdtempSync(path.join(tmpdir(), 'bailiwick-disk-'));
  try {
    const [folder, elsewhere] = [path.join(at, 'reports'), path.join(at, 'elsewhere')];
    mkdirSync(elsewhere);
    chmodSync(elsewhere, 0o755);
    symlinkSync(elsewhere, folder);
    await assert.rejects(
      openDisk(
        folder,
        1_000_000,
        countLosses(() => 0),
      ),
      /no folder that reports can be kept in/,
    );
    assert.deepEqual([statSync(elsewhere).mode & 0o777, readdirSync(elsewhere)], [0o755, []]);
  } finally {
    rmSync(at, { recursive: true });
  }
});
