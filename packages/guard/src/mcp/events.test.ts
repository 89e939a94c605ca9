import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { eventReader, type StreamEvent, writeEvent } from './events.ts';

function read(text: string | Uint8Array, sizes: readonly number[] = []): StreamEvent[] {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  const reader = eventReader(10_000);
  const events: StreamEvent[] = [];
  let at = 0;
  for (const size of sizes) {
    events.push(...reader.push(bytes.subarray(at, at + size)));
    at += size;
  }
  return [...events, ...reader.push(bytes.subarray(at)), ...reader.push(undefined)];
}

const dataOf = (events: readonly StreamEvent[]) => events.map(({ data }) => data);

test('events are read as the standard says', () => {
  assert.deepEqual(dataOf(read('data: a\n\ndata:b\ndata:  c\n\n')), ['a', 'b\n c']);
  assert.deepEqual(dataOf(read('data: a\r\n\r\ndata: b\r\rdata: c\n\n')), ['a', 'b', 'c']);
  assert.deepEqual(read('event: message\nid: 7\nretry: 10\ndata\n\n'), [
    { event: 'message', id: '7', retry: '10', data: '', comments: [] },
  ]);
  assert.deepEqual(read(': alive\n\n'), [{ comments: [' alive'.trim()] }]);
  assert.deepEqual(dataOf(read('\uFEFFdata: a\n\n')), ['a']);
});

test('an event that never ends is none, and one that is too long ends the stream', () => {
  assert.deepEqual(read('data: a\n\ndata: half'), [{ data: 'a', comments: [] }]);
  assert.throws(() => read(`data: ${'x'.repeat(10_001)}`), /too long/);
  assert.throws(() => read('data: x\n'.repeat(2000)), /too long/);
  assert.throws(() => read(new Uint8Array([0x64, 0xff, 0x0a, 0x0a])));
});

const line = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll(/[\r\n\u0000\uFEFF]/g, ''));
const events = fc.array(
  fc.record(
    { event: line, id: line, data: fc.array(line, { minLength: 1, maxLength: 3 }).map((lines) => lines.join('\n')) },
    { requiredKeys: ['data'] },
  ),
  { maxLength: 5 },
);

test('what is written is read again, however it is cut into pieces', () => {
  fc.assert(
    fc.property(events, fc.array(fc.nat(15), { maxLength: 30 }), (all, sizes) => {
      const made = all.map((event) => ({ ...event, comments: [] }));
      assert.deepEqual(read(made.map(writeEvent).join(''), sizes), made);
    }),
  );
});

test('every character is looked at once, in however many pieces an event comes', (context) => {
  let looked = 0;
  const { exec } = RegExp.prototype;
  const { split } = String.prototype;
  context.mock.method(RegExp.prototype, 'exec', function (this: RegExp, text: string) {
    const from = this.lastIndex;
    const match = exec.call(this, text);
    looked += (match === null ? text.length : match.index + match[0].length) - from;
    return match;
  });
  context.mock.method(String.prototype, 'split', function (this: string, by: string | RegExp) {
    looked += this.length;
    return split.call(this, by as never);
  });
  const bytes = new TextEncoder().encode(`data: ${'x'.repeat(8000)}\n\n`);
  const reader = eventReader(10_000);
  const found = [...bytes].flatMap((byte) => reader.push(Uint8Array.of(byte)));
  context.mock.restoreAll();
  assert.equal(found.length, 1);
  assert.ok(looked >= bytes.length, 'it is counted');
  assert.ok(looked < 4 * bytes.length, `${looked} for ${bytes.length}`);
});

test('the end of a line is one, also where a piece ends in it', () => {
  const text = 'data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n';
  for (let cut = 0; cut <= text.length; cut++) assert.deepEqual(dataOf(read(text, [cut])), ['a\nb', 'c'], String(cut));
});
