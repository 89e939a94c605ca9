/** What certificate requests may not ask for. */
import { makeRequest, type TestRequestOptions } from '../testing/certificate-request.ts';
import { byKey, type Row, refuses } from '../testing/instance-refusals.ts';

const withBody = (body: Record<string, unknown>) => byKey(() => ({ body }));
const withCsr = (options: TestRequestOptions, change = (pem: string) => pem) =>
  byKey(async () => ({ dpop: null, body: { csr: change((await makeRequest(options)).pem) } }));

const requests: Row[] = [
  ['a csr that is none', withBody({ csr: 'hello' }), 400, 'invalid_request'],
  [
    'a csr that is a certificate',
    withCsr({}, (pem) => pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')),
    400,
    'invalid_request',
  ],
  ['two of them', withCsr({}, (pem) => `${pem}\n${pem}`), 400, 'invalid_request'],
  [
    'a csr that was changed after it was signed',
    withCsr({ subject: 'CN=desk' }, (pem) => flipped(pem)),
    400,
    'invalid_request',
  ],
  ['a csr for another subject', withCsr({ subject: 'CN=root' }), 400, 'unauthorized_client', /subject/],
  ['a csr for an organization', withCsr({ subject: 'O=Bailiwick' }), 400, 'unauthorized_client'],
  [
    'a csr for a SPIFFE ID of another agent',
    withCsr({ names: [['url', 'spiffe://localhost/default/operator']] }),
    400,
    'unauthorized_client',
    /URI/,
  ],
  [
    'a csr for a SPIFFE ID of another trust domain',
    withCsr({ names: [['url', 'spiffe://evil.example/a/b']] }),
    400,
    'unauthorized_client',
  ],
  [
    'a csr for a DNS name that the template does not have',
    withCsr({ names: [['dns', 'www.example.com']] }),
    400,
    'unauthorized_client',
    /template/,
  ],
  ['a csr for an address', withCsr({ names: [['ip', '10.0.0.1']] }), 400, 'unauthorized_client'],
  ['a csr for a mailbox', withCsr({ names: [['email', 'a@example.com']] }), 400, 'unauthorized_client'],
  ['a csr for an authority', withCsr({ ca: true }), 400, 'unauthorized_client', /more than names/],
  ['a csr that wants to sign certificates', withCsr({ usages: true }), 400, 'unauthorized_client', /more than names/],
  ['a csr with a password', withCsr({ password: 'sesame' }), 400, 'unauthorized_client'],
  ['a csr by RSA of 1024 bits', withCsr({ alg: 'RSA-1024' }), 400, 'invalid_request'],
  ['a csr by a curve that tokens are not signed with', withCsr({ alg: 'ES384' }), 400, 'invalid_request'],
  [
    'a csr and a proof by two keys',
    byKey(async () => ({ body: { csr: (await makeRequest()).pem } })),
    400,
    'invalid_request',
    /two keys/,
  ],
];

/** The same PEM with one bit of the signature flipped. */
function flipped(pem: string): string {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  der[der.length - 1] = (der[der.length - 1] as number) ^ 1;
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
}

refuses([{ what: 'certificate requests', rows: requests }]);
