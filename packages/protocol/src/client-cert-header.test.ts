import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { suite, test } from 'node:test';
import { certificateThumbprint, parseClientCert, parseClientCertChain } from './index.ts';
import { code } from './testing.ts';

/** The certificate of RFC 9440, Appendix A. */
const base64 =
  'MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=';
const der = Buffer.from(base64, 'base64');
const certificate = new X509Certificate(der);
const item = `:${base64}:`;
const bytes = (...values: number[]) => `:${Buffer.from(values).toString('base64')}:`;

suite('Client-Cert', () => {
  for (const [name, value] of [
    ['the example of RFC 9440', item],
    ['spaces around it', `  ${item} `],
  ] as const) {
    test(`is read: ${name}`, () => {
      const read = parseClientCert(value);
      assert.ok(read.equals(der));
      assert.equal(new X509Certificate(read).subject, 'CN=BC');
    });
  }

  const refused: [name: string, value: string][] = [
    ['nothing', ''],
    ['only spaces', '  '],
    ['one colon', ':'],
    ['two colons', '::'],
    ['no colons', base64],
    ['no colon at the end', `:${base64}`],
    ['a colon too many', `:${item}`],
    ['a parameter', `${item};chain=1`],
    ['a parameter without a value', `${item};a`],
    ['something after it', `${item} x`],
    ['two of them, as two joined headers would be', `${item}, ${item}`],
    ['a list in parentheses', `(${item})`],
    ['a quoted string', `"${base64}"`],
    ['a tab before it', `\t${item}`],
    ['a line break in the middle', `:${base64.slice(0, 64)}\n${base64.slice(64)}:`],
    ['a space in the middle', `:${base64.slice(0, 64)} ${base64.slice(64)}:`],
    ['base64url', `:${base64.replaceAll('+', '-').replaceAll('/', '_')}:`],
    ['no padding', `:${base64.replace('=', '')}:`],
    ['padding too much', `:${base64}=:`],
    ['unused bits that are not zero', `:${base64.replace('yhk=', 'yhl=')}:`],
    ['PEM', `:${Buffer.from(certificate.toString()).toString('base64')}:`],
    ['escaped PEM, as nginx has it', encodeURIComponent(certificate.toString())],
    ['DER with a byte after it', `:${Buffer.concat([der, Buffer.of(0)]).toString('base64')}:`],
    ['DER cut short', `:${der.subarray(0, -1).toString('base64')}:`],
    ['a length in a longer form than needed', bytes(0x30, 0x81, 0x01, 0x00)],
    ['a length with a zero before it', bytes(0x30, 0x82, 0x00, 0x80, ...new Array<number>(0x80).fill(0))],
    ['a length that is not given', bytes(0x30, 0x80, 0x00, 0x00)],
    ['a length of a length that is cut short', bytes(0x30, 0x83, 0x01)],
    ['another DER type', bytes(0x31, 0x00)],
    ['one byte', bytes(0x30)],
    ['more than any certificate', `:${'A'.repeat(40_000)}:`],
  ];
  for (const [name, value] of refused) {
    test(`is refused: ${name}`, () =>
      assert.equal(
        code(() => parseClientCert(value)),
        'malformed',
      ));
  }
});

suite('Client-Cert-Chain', () => {
  for (const [name, value, length] of [
    ['nothing', '', 0],
    ['one', item, 1],
    ['two, with spaces and a tab', ` ${item} ,\t${item} `, 2],
  ] as const) {
    test(`is read: ${name}`, () => {
      const read = parseClientCertChain(value);
      assert.deepEqual(
        read.map((one) => one.equals(der)),
        new Array(length).fill(true),
      );
    });
  }

  for (const [name, value] of [
    ['a comma at the end', `${item},`],
    ['a comma at the beginning', `,${item}`],
    ['two commas', `${item},,${item}`],
    ['a parameter', `${item};q=1, ${item}`],
    ['an inner list', `(${item} ${item})`],
    ['one that cannot be read among those that can', `${item}, :AAAA:`],
    ['spaces instead of a comma', `${item} ${item}`],
    ['more than any chain', `${item},`.repeat(80)],
  ] as const) {
    test(`is refused: ${name}`, () =>
      assert.equal(
        code(() => parseClientCertChain(value)),
        'malformed',
      ));
  }
});

suite('certificateThumbprint', () => {
  const expected = Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');

  test('is what Node.js says, of DER and of PEM', () => {
    assert.equal(certificateThumbprint(der), expected);
    assert.equal(certificateThumbprint(new Uint8Array(der)), expected);
    assert.equal(certificateThumbprint(certificate.toString()), expected);
    assert.equal(certificateThumbprint(`\r\n${certificate.toString().replaceAll('\n', '\r\n')}`), expected);
  });

  const pem = certificate.toString();
  for (const [name, value] of [
    ['two certificates', pem + pem],
    ['a private key', pem.replaceAll('CERTIFICATE', 'PRIVATE KEY')],
    ['text before it', `subject=CN=BC\n${pem}`],
    ['base64 alone', base64],
    ['nothing between the lines', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----'],
    ['no bytes', Buffer.alloc(0)],
    ['PEM as bytes', Buffer.from(pem)],
    ['DER with a byte after it', Buffer.concat([der, Buffer.of(0)])],
  ] as const) {
    test(`refuses ${name}`, () =>
      assert.equal(
        code(() => certificateThumbprint(value)),
        'malformed',
      ));
  }
});
