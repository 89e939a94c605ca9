/** What is refused when instances renew, end and have children. */
import assert from 'node:assert/strict';
import { makeRequest } from '../testing/certificate-request.ts';
import { type InstanceClient, newSigner } from '../testing/instance-client.ts';
import { type Row, refuses } from '../testing/instance-refusals.ts';

const renewals: Row[] = [
  [
    'a renewal by another key',
    async ({ at }) => at.call({ id: (await at.instance()).id, signer: await newSigner() }, 'POST', '/renew', {}),
    401,
    'invalid_client',
  ],
  [
    'a renewal by the key of the agent',
    async ({ at, client }) => at.call({ id: (await at.instance()).id, signer: client.signer }, 'POST', '/renew', {}),
    401,
    'invalid_client',
  ],
  [
    'a renewal by another instance',
    async ({ at }) =>
      at.call({ id: (await at.instance()).id, signer: (await at.instance()).signer }, 'POST', '/renew', {}),
    401,
    'invalid_client',
  ],
  [
    'a renewal by its parent',
    async ({ at }) => {
      const parent = await at.instance();
      const child = await at.child(parent);
      return at.call({ id: child.id, signer: parent.signer }, 'POST', '/renew', {});
    },
    401,
    'invalid_client',
  ],
  [
    'a renewal of one that never was',
    async ({ at }) => at.call({ id: `ins_${'0'.repeat(26)}`, signer: await newSigner() }, 'POST', '/renew', {}),
    401,
    'invalid_client',
  ],
  [
    'a renewal after its end',
    async ({ at, server }) => {
      const instance = await at.instance({ body: { lifetime_seconds: 60 } });
      server.clock.advance(61_000);
      return at.call(instance, 'POST', '/renew', {});
    },
    401,
    'invalid_client',
    /has ended/,
  ],
  [
    'a renewal after it was ended',
    async ({ at }) => {
      const instance = await at.instance();
      await at.call(instance, 'DELETE');
      return at.call(instance, 'POST', '/renew', {});
    },
    401,
    'invalid_client',
    /has ended/,
  ],
  [
    'a renewal with a proof that was used before',
    async ({ at }) => {
      const instance = await at.instance();
      const dpop = await at.proofBy(instance.signer, 'POST', `${at.url}/${instance.id}/renew`);
      assert.equal((await at.call(instance, 'POST', '/renew', {}, { dpop })).status, 200);
      return at.call(instance, 'POST', '/renew', {}, { dpop });
    },
    400,
    'invalid_dpop_proof',
  ],
  [
    'a renewal with a proof for something else',
    async ({ at }) => {
      const instance = await at.instance();
      const dpop = await at.proofBy(instance.signer, 'POST', `${at.url}/${instance.id}/children`);
      return at.call(instance, 'POST', '/renew', {}, { dpop });
    },
    400,
    'invalid_dpop_proof',
  ],
  [
    'a renewal with attributes',
    async ({ at }) => at.call(await at.instance(), 'POST', '/renew', { attributes: { zone: 'x' } }),
    400,
    'invalid_request',
  ],
  [
    'a renewal for too long',
    async ({ at }) => at.call(await at.instance(), 'POST', '/renew', { lifetime_seconds: 7200 }),
    400,
    'invalid_request',
  ],
  [
    'a renewal with the key of another instance',
    async ({ at }) => {
      const { pem } = await makeRequest();
      assert.equal((await at.enrolByKey({ dpop: null, body: { csr: pem } })).status, 201);
      return at.call(await at.instance(), 'POST', '/renew', { csr: pem });
    },
    400,
    'invalid_request',
    /new one/,
  ],
  [
    'a renewal by the key that it had before',
    async ({ at }) => {
      const instance = await at.instance();
      const { pem } = await makeRequest();
      assert.equal((await at.call(instance, 'POST', '/renew', { csr: pem })).status, 200);
      return at.call(instance, 'POST', '/renew', {});
    },
    401,
    'invalid_client',
  ],
  [
    'a renewal without a proof',
    async ({ at }) => at.send('POST', `${at.url}/${(await at.instance()).id}/renew`, {}, {}),
    401,
    'invalid_client',
  ],
  [
    'an end by another key',
    async ({ at }) => at.call({ id: (await at.instance()).id, signer: await newSigner() }, 'DELETE'),
    401,
    'invalid_client',
  ],
  [
    'an end by its child',
    async ({ at }) => {
      const parent = await at.instance();
      return at.call({ id: parent.id, signer: (await at.child(parent)).signer }, 'DELETE');
    },
    401,
    'invalid_client',
  ],
  [
    'a look by another instance',
    async ({ at }) => at.call({ id: (await at.instance()).id, signer: (await at.instance()).signer }, 'GET'),
    401,
    'invalid_client',
  ],
];

const children: Row[] = [
  [
    'a child with a scope that no role gives',
    async ({ at, client }) =>
      at.child(await at.instance(), { allowed: [{ resource: client.identifier, scope: 'tickets:delete' }] }),
    400,
    'invalid_scope',
  ],
  [
    'a child with a resource that the agent was not given',
    async ({ at, other }) =>
      at.child(await at.instance(), { allowed: [{ resource: other.client.identifier, scope: 'tickets:read' }] }),
    400,
    'invalid_target',
  ],
  [
    'a resource named twice',
    async ({ at, client }) => {
      const one = { resource: client.identifier, scope: 'tickets:read' };
      return at.child(await at.instance(), { allowed: [one, { ...one, resource: client.resource }] });
    },
    400,
    'invalid_request',
  ],
  [
    'a child of a child, deeper than the template',
    async ({ at }) => at.child(await asParent(at)),
    400,
    'unauthorized_client',
    /deep/,
  ],
  [
    'a child without a key',
    async ({ at }) => at.child(await at.instance(), { proof: undefined }),
    400,
    'invalid_request',
    /prove the key/,
  ],
  [
    'a child with the key of its parent',
    async ({ at }) => {
      const parent = await at.instance();
      return at.child(parent, {}, parent.signer);
    },
    400,
    'invalid_request',
  ],
  [
    'a child with a proof for something else',
    async ({ at }) => at.child(await at.instance(), { proof: await proofFor(at) }),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a child with a proof that was used before',
    async ({ at }) => {
      const parent = await at.instance();
      const proof = await at.proofBy(await newSigner(), 'POST', `${at.url}/${parent.id}/children`);
      assert.equal((await at.child(parent, { name: 'a', proof })).status, 201);
      return at.child(parent, { name: 'b', proof });
    },
    400,
    'invalid_dpop_proof',
  ],
  [
    'a child without a name',
    async ({ at }) => at.child(await at.instance(), { name: '' }),
    400,
    'invalid_request',
    /name/,
  ],
  [
    'a child of somebody else',
    async ({ at }) => at.child({ ...(await at.instance()), id: (await at.instance()).id }),
    401,
    'invalid_client',
  ],
  [
    'a child of one that has ended',
    async ({ at }) => {
      const parent = await at.instance();
      await at.call(parent, 'DELETE');
      return at.child(parent);
    },
    401,
    'invalid_client',
  ],
];

const asParent = async (at: InstanceClient) => {
  const child = await at.child(await at.instance());
  assert.equal(child.status, 201, JSON.stringify(child.body));
  return { id: child.id, signer: child.signer, answer: child.body };
};

const proofFor = async (at: InstanceClient) => at.proofBy(await newSigner(), 'POST', at.url);

refuses([
  { what: 'renewals and ends', rows: renewals },
  { what: 'children', rows: children },
]);
