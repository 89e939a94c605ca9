import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { boundedCache } from './index.ts';

suite('bounded cache', () => {
  test('forgets what was not asked for, keeps what is', () => {
    const cache = boundedCache<number>(10);
    cache.set('kept', -1);
    cache.set('unused', -2);
    for (let i = 0; i < 100; i++) {
      cache.set(`k${i}`, i);
      assert.equal(cache.get('kept'), -1);
    }
    assert.equal(cache.get('unused'), undefined);
    assert.equal(cache.get('k99'), 99);
    let remembered = 0;
    for (let i = 0; i < 100; i++) if (cache.get(`k${i}`) !== undefined) remembered++;
    assert.ok(remembered <= 20, `${remembered} remembered`);
  });
});
