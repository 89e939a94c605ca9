import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { formatTraceparent, parseTraceparent, readTraceparent } from './index.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const parentId = 'b7ad6b7169203331';
const good = `00-${traceId}-${parentId}-01`;

suite('traceparent', () => {
  test('is read, and written as it was', () => {
    assert.deepEqual(parseTraceparent(good), { traceId, parentId, sampled: true });
    assert.equal(formatTraceparent({ traceId, parentId, sampled: true }), good);
    assert.deepEqual(parseTraceparent(`00-${traceId}-${parentId}-00`)?.sampled, false);
  });

  test('flags that this version does not know are left out, sampled is one bit', () => {
    assert.equal(readTraceparent(`00-${traceId}-${parentId}-ff`), good);
    assert.equal(readTraceparent(`00-${traceId}-${parentId}-02`), `00-${traceId}-${parentId}-00`);
  });

  test('of a later version what this one knows', () => {
    assert.equal(readTraceparent(`cc-${traceId}-${parentId}-01`), good);
    assert.equal(readTraceparent(`cc-${traceId}-${parentId}-01-what-the-future-will-be-like`), good);
  });

  const rejections: [what: string, text: unknown][] = [
    ['nothing', ''],
    ['no text', undefined],
    ['two of them', [good, good]],
    ['two of them, joined', `${good}, ${good}`],
    ['version ff', `ff-${traceId}-${parentId}-01`],
    ['upper case', good.toUpperCase()],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${parentId}-01`],
    ['a parent of zeros', `00-${traceId}-${'0'.repeat(16)}-01`],
    ['a trace that is short', `00-${traceId.slice(1)}-${parentId}-01`],
    ['a parent that is long', `00-${traceId}-${parentId}0-01`],
    ['more than version 00 has', `${good}-00`],
    ['a later version that goes on without a dash', `cc-${traceId}-${parentId}-01.x`],
    ['no flags', `00-${traceId}-${parentId}`],
    ['flags that are none', `00-${traceId}-${parentId}-0g`],
    ['spaces around it', ` ${good}`],
    ['a line break behind it', `${good}\n`],
    ['a later version without end', `cc-${traceId}-${parentId}-01-${'x'.repeat(600)}`],
  ];
  for (const [what, text] of rejections) test(`is not ${what}`, () => assert.equal(readTraceparent(text), undefined));
});
