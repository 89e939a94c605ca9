// The floor: the ES256 operations that the profile cannot do without, by the same synchronous calls of node:crypto
// that the server makes, over inputs of the size the wire has, with as many keys as there are agents.
import { generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from 'node:crypto';
import { ownCpu, type Profile, serveCalls } from '../child.ts';

const agentCount = 20;
const assertionBytes = 380;
const proofBytes = 420;
const tokenBytes = 900;

interface Signed {
  input: Buffer;
  signature: Buffer;
  publicKey: KeyObject;
}

const signingKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const assertionKeys = Array.from({ length: agentCount }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
const proofKeys = Array.from({ length: agentCount }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }));

function messages(count: number, keys: typeof assertionKeys, bytes: number): Signed[] {
  return Array.from({ length: count }, (_, index) => {
    const { privateKey, publicKey } = keys[index % keys.length] as (typeof keys)[number];
    const input = Buffer.from(randomUUID().padEnd(bytes, '.'));
    return { input, signature: sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }), publicKey };
  });
}

function check({ input, signature, publicKey }: Signed): void {
  if (!verify('sha256', input, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature))
    throw new Error('not verified');
}

/** CPU microseconds per token that is nothing but its signatures. */
function floor({ profile, count }: { profile: Profile; count: number }): number {
  const assertions = profile === 'mtls' ? [] : messages(count, assertionKeys, assertionBytes);
  const proofs = profile === 'dpop' ? messages(count, proofKeys, proofBytes) : [];
  const tokens = Array.from({ length: count }, () => Buffer.from(randomUUID().padEnd(tokenBytes, '.')));
  const before = ownCpu();
  for (let index = 0; index < count; index++) {
    if (profile !== 'mtls') check(assertions[index] as Signed);
    if (profile === 'dpop') check(proofs[index] as Signed);
    sign('sha256', tokens[index] as Buffer, { key: signingKey, dsaEncoding: 'ieee-p1363' });
  }
  return (ownCpu() - before) / count;
}

serveCalls({ floor });
