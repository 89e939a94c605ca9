import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { testEpoch } from '../testing/harness.ts';
import { appendLines, type FilePlace } from './file-target.ts';

describe('an exporter’s files', () => {
  let directory: string;
  let place: FilePlace;
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'bailiwick-files-'));
    place = { directory, id: 'xpt_1', now: testEpoch, target: { kind: 'file', format: 'jsonl', max_bytes: 100 } };
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const folder = () => path.join(directory, 'xpt_1');
  const names = () => readdirSync(folder()).toSorted();
  const content = (name: string) => readFileSync(path.join(folder(), name), 'utf8');

  test('keep every line whole, and lose none, though several write at once', async () => {
    const large = { ...place, target: { ...place.target, max_bytes: 100_000_000 } };
    const lines = (from: string) =>
      Array.from({ length: 1_000 }, (_, n) => JSON.stringify({ from, n, text: 'x'.repeat(2_000) }));
    await Promise.all([
      appendLines(large, lines('a')),
      ...Array.from({ length: 6 }, (_, n) => appendLines(large, [JSON.stringify({ from: `test ${n}`, n: 0 })])),
      appendLines(large, lines('b')),
    ]);
    const written = names().flatMap((name) => content(name).trimEnd().split('\n'));
    const parsed = written.map((line) => JSON.parse(line) as { from: string; n: number });
    assert.equal(new Set(parsed.map(({ from, n }) => `${from} ${n}`)).size, 2_006);
    assert.equal(parsed.length, 2_006);
  });

  test('are their owner’s alone, and begin anew with size and day', async () => {
    const line = 'x'.repeat(39);
    await appendLines(place, [line, line]);
    await appendLines(place, [line]);
    await appendLines({ ...place, now: testEpoch + 86_400_000 }, [line]);
    assert.deepEqual(names(), [
      'events-2026-11-01-0001.jsonl',
      'events-2026-11-01-0002.jsonl',
      'events-2026-11-02-0001.jsonl',
    ]);
    assert.equal(content('events-2026-11-01-0001.jsonl'), `${line}\n${line}\n`);
    assert.equal(content('events-2026-11-01-0002.jsonl'), `${line}\n`);
    assert.equal(statSync(folder()).mode & 0o777, 0o700);
    assert.equal(statSync(path.join(folder(), 'events-2026-11-01-0001.jsonl')).mode & 0o777, 0o600);
    await appendLines(place, ['y'.repeat(500)]); // larger than any file may be: alone in one
    assert.equal(content('events-2026-11-01-0003.jsonl').length, 501);
  });

  test('what a crash left of a line goes before the next one comes', async () => {
    await appendLines(place, ['{"n":1}']);
    appendFileSync(path.join(folder(), 'events-2026-11-01-0001.jsonl'), '{"n":2,"torn');
    await appendLines(place, ['{"n":2}']);
    assert.equal(content('events-2026-11-01-0001.jsonl'), '{"n":1}\n{"n":2}\n');
  });

  test('a torn line that is longer than what is read at once goes too', async () => {
    place = { ...place, target: { ...place.target, max_bytes: 10_000_000 } };
    await appendLines(place, ['{"n":1}']);
    appendFileSync(path.join(folder(), 'events-2026-11-01-0001.jsonl'), 'z'.repeat(200_000));
    await appendLines(place, ['{"n":2}']);
    assert.equal(content('events-2026-11-01-0001.jsonl'), '{"n":1}\n{"n":2}\n');
  });

  test('a link that somebody put there is not followed', async () => {
    const elsewhere = path.join(directory, 'elsewhere');
    mkdirSync(folder());
    symlinkSync(elsewhere, path.join(folder(), 'events-2026-11-01-0001.jsonl'));
    await assert.rejects(appendLines(place, ['x']), /can't be written \(ELOOP\)/);
    assert.ok(!existsSync(elsewhere));
  });

  test('a folder that is not there is not made', async () => {
    rmSync(directory, { recursive: true });
    await assert.rejects(appendLines(place, ['x']), /can't be written \(ENOENT\)/);
    assert.ok(!existsSync(directory));
  });
});
