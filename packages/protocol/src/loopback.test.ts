import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopback } from './index.ts';

for (const [url, local] of [
  ['http://localhost:8455', true],
  ['http://LOCALHOST', true],
  ['http://127.0.0.1', true],
  ['http://127.9', true],
  ['http://[::1]:8455', true],
  ['http://id.localhost', false],
  ['http://localhost.', false],
  ['http://localhost.example', false],
  ['http://127.0.0.1.example', false],
  ['http://127.example', false],
  ['http://128.0.0.1', false],
  ['http://0.0.0.0', false],
  ['http://[::]', false],
  ['http://[::ffff:127.0.0.1]', false],
] as const) {
  test(`${url} is ${local ? 'this machine' : 'not known to be this machine'}`, () => {
    assert.equal(isLoopback(new URL(url).hostname), local);
  });
}
