/** What a chain costs: the signatures that are looked at, for strangers above all. What is accepted: `svid/verify-x509.test.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtocolError } from '@bailiwick/protocol';
import fc from 'fast-check';
import { type Crafted, craftAuthority, craftLeaf, ecKeys, extension } from '../testing/crafted-certificate.ts';
import { testEpoch } from '../testing/harness.ts';
import { der, sequence } from './der.ts';
import { readCertificate } from './x509.ts';
import { keyIdOf, verifyChain } from './x509-verify.ts';

const root = craftAuthority('root');
const slow = (name: string, issuer?: Crafted) =>
  craftAuthority(name, { keys: ecKeys('P-384'), ...(issuer && { issuer, signature: 'ecdsa-sha384' }) });

/** What it came to, and after how many signatures. */
function outcome(chain: readonly Crafted[], anchors: readonly Buffer[]): [string, number] {
  const work = { signatures: 0 };
  const asked = { anchors, now: testEpoch, purpose: 'client', work } as const;
  try {
    verifyChain(
      chain.map((each) => each.der),
      asked,
    );
    return ['accepted', work.signatures];
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    return [error.code, work.signatures];
  }
}

/** As long as a chain may be; its uppermost is signed by `top`. */
function chainBelow(top: Crafted, signature: 'ecdsa-sha256' | 'ecdsa-sha384'): Crafted[] {
  const list = [craftAuthority('level 1', { keys: ecKeys('P-384'), issuer: top, signature })];
  for (let i = 2; i <= 4; i++) list.unshift(slow(`level ${i}`, list[0]));
  return [craftLeaf(list[0] as Crafted, { signature: 'ecdsa-sha384' }), ...list];
}

test('a chain that leads nowhere costs no signature', () => {
  assert.deepEqual(outcome(chainBelow(slow('stranger'), 'ecdsa-sha384'), [root.der]), ['unknown_ca', 0]);
});

test('one that only says it leads to an anchor costs that one signature, and none when it comes again', () => {
  const chain = chainBelow({ ...root, keys: ecKeys() }, 'ecdsa-sha256');
  const anchors = [root.der];
  assert.deepEqual(outcome(chain, anchors), ['unknown_ca', 1]);
  assert.deepEqual(outcome(chain, anchors), ['unknown_ca', 0]);
  assert.deepEqual(outcome(chain, [...anchors]), ['unknown_ca', 1], 'remembered for these anchors alone');
});

test('one that goes wrong below an anchor costs nothing below there', () => {
  const first = craftAuthority('first', { issuer: root });
  const forged = slow('forged', { ...first, keys: ecKeys('P-384') });
  const chain = [craftLeaf(forged, { signature: 'ecdsa-sha384' }), forged, first];
  assert.deepEqual(outcome(chain, [root.der]), ['bad_signature', 2]);
});

test('a good one costs a signature for each certificate, and none when it comes again', () => {
  const chain = chainBelow(root, 'ecdsa-sha256');
  const anchors = [root.der];
  assert.deepEqual(outcome(chain, anchors), ['accepted', 5]);
  assert.deepEqual(outcome(chain, anchors), ['accepted', 0]);
});

test('of many anchors of one name at most four are tried', () => {
  const anchors = Array.from({ length: 20 }, () => craftAuthority('twin').der);
  const chain = [craftLeaf(craftAuthority('twin'))];
  assert.deepEqual(outcome(chain, anchors), ['unknown_ca', 4]);
  const third = craftAuthority('twin');
  assert.equal(outcome([craftLeaf(third)], [...anchors.slice(0, 2), third.der])[0], 'accepted');
});

test('a leaf says by which keys it leads to its anchor', () => {
  const between = craftAuthority('between', { issuer: root });
  const chain = [craftLeaf(between), between, root].map((each) => each.der);
  const { authorityKeys } = verifyChain(chain, { anchors: [root.der], now: testEpoch, purpose: 'client' });
  assert.deepEqual(
    authorityKeys,
    [between, root].map((each) => keyIdOf(readCertificate(each.der))),
  );
});

test('property: a certificate with some bytes changed is read, or refused in words; nothing else happens', () => {
  const more = extension('2.5.29.35', sequence(der(0x80, Buffer.alloc(20, 7))));
  const whole = craftAuthority('a', { extensions: [more] }).der;
  const leaf = craftLeaf(root).der;
  const change = fc.tuple(fc.nat(0xffff), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.constantFrom(whole, leaf), fc.array(change, { minLength: 1, maxLength: 3 }), (bytes, changes) => {
      const changed = Buffer.from(bytes);
      for (const [at, to] of changes) changed[at % changed.length] = to;
      try {
        readCertificate(changed);
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error));
      }
    }),
    { numRuns: 1500 },
  );
});
