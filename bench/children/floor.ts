// The floor: the ES256 operations that an answer cannot do without, by the same synchronous calls of node:crypto
// that the server makes, over inputs of the size the wire has, with as many keys as there are agents.
import { generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from 'node:crypto';
import { ownCpu, type Signature, serveCalls } from '../child.ts';

const agentCount = 20;
const bytes: Record<Signature, number> = { assertion: 380, proof: 420, token: 900 };

interface Signed {
  input: Buffer;
  signature: Buffer;
  publicKey: KeyObject;
}

const keyPairs = (count: number) =>
  Array.from({ length: count }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
const [ours] = keyPairs(1) as [ReturnType<typeof keyPairs>[number]];
const keys = { assertion: keyPairs(agentCount), proof: keyPairs(agentCount), token: [ours] };

function messages(count: number, what: Signature): Signed[] {
  const signers = keys[what];
  return Array.from({ length: count }, (_, index) => {
    const { privateKey, publicKey } = signers[index % signers.length] as typeof ours;
    const input = Buffer.from(randomUUID().padEnd(bytes[what], '.'));
    return { input, signature: sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }), publicKey };
  });
}

function check({ input, signature, publicKey }: Signed): void {
  if (!verify('sha256', input, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature))
    throw new Error('not verified');
}

/** CPU microseconds per token that is nothing but its signatures: those that are verified, and its own. */
function floor({ verified, count }: { verified: readonly Signature[]; count: number }): number {
  const shown = verified.map((what) => messages(count, what));
  const tokens = Array.from({ length: count }, () => Buffer.from(randomUUID().padEnd(bytes.token, '.')));
  const before = ownCpu();
  for (let index = 0; index < count; index++) {
    for (const each of shown) check(each[index] as Signed);
    sign('sha256', tokens[index] as Buffer, { key: ours.privateKey, dsaEncoding: 'ieee-p1363' });
  }
  return (ownCpu() - before) / count;
}

serveCalls({ floor });
