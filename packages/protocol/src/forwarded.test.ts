import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clientAddress, type ForwardedHeader, forwardedFor } from './forwarded.ts';
import { networks } from './networks.ts';

const isTrusted = networks(['10.0.0.0/8', '::1', 'fe80::/10']);
const client = '198.51.100.1';

/** What was sent, by whom, and from where it came by what we believe. */
type Row = [what: string, remote: string | undefined, lines: string[] | undefined, expected: string | undefined];

const xForwardedFor: Row[] = [
  ['who is no proxy is believed nothing', '192.0.2.1', [client], '192.0.2.1'],
  ['a trusted proxy names its caller', '10.0.0.1', [client], client],
  ['what the caller itself wrote is not read', '10.0.0.1', [`203.0.113.9, ${client}`], client],
  ['nor what it wrote in a line of its own', '10.0.0.1', ['203.0.113.9', client], client],
  ['nor that it is one of our own', '10.0.0.1', [`10.0.0.9, ${client}`], client],
  ['nor what can not be read', '10.0.0.1', [`<script>, ,;", ${client}`], client],
  ['two trusted proxies in a row', '10.0.0.1', [`203.0.113.9, ${client}, 10.0.0.2`], client],
  ['two trusted proxies, each with a line', '10.0.0.1', ['203.0.113.9', client, '10.0.0.2'], client],
  ['all of them trusted: the first is the client', '10.0.0.1', ['10.0.0.3, 10.0.0.2'], '10.0.0.3'],
  ['an IPv4 proxy in IPv6', '::ffff:10.0.0.1', [client], client],
  ['an IPv4 proxy in hexadecimal IPv6', '::ffff:a00:1', [client], client],
  ['a proxy on a link of ours', 'fe80::1%eth0', [client], client],
  ['a client in IPv4 in IPv6', '10.0.0.1', [`::ffff:${client}`], client],
  ['a client in IPv6 in full', '10.0.0.1', ['2001:DB8:0:0:0:0:0:1'], '2001:db8::1'],
  ['a client with its port', '10.0.0.1', [`${client}:4711`], client],
  ['a client in IPv6 in brackets', '10.0.0.1', ['[2001:db8::1]'], '2001:db8::1'],
  ['a client in IPv6 with its port', '10.0.0.1', ['[2001:db8::1]:4711'], '2001:db8::1'],
  ['a proxy with its port, in between', '10.0.0.1', [`${client}, 10.0.0.2:8080`], client],
  ['a trusted proxy without a header', '10.0.0.1', undefined, '10.0.0.1'],
  ['a trusted proxy that names nobody', '10.0.0.1', [''], undefined],
  ['a trusted proxy that names nobody after a caller did', '10.0.0.1', [`${client}, `], undefined],
  ['a trusted proxy that does not know', '10.0.0.1', ['unknown'], undefined],
  ['a trusted proxy that names a name', '10.0.0.1', ['localhost'], undefined],
  ['zeros before', '10.0.0.1', ['198.051.100.1'], undefined],
  ['hexadecimal IPv4', '10.0.0.1', ['0x7f.0.0.1'], undefined],
  ['a whole number', '10.0.0.1', ['2130706433'], undefined],
  ['a network', '10.0.0.1', ['198.51.100.0/24'], undefined],
  ['quoted', '10.0.0.1', [`"${client}"`], undefined],
  ['an interface', '10.0.0.1', ['fe80::2%eth0'], undefined],
  ['IPv4 in brackets', '10.0.0.1', [`[${client}]`], undefined],
  ['IPv6 with something behind it', '10.0.0.1', ['[2001:db8::1]x'], undefined],
  ['a port that is none', '10.0.0.1', [`${client}:http`], undefined],
  ['two addresses without a comma', '10.0.0.1', [`${client} 10.0.0.1`], undefined],
  ['no address at all', undefined, [client], undefined],
  ['no address of the connection', '', [client], undefined],
];

const forwarded: Row[] = [
  ['who is no proxy is believed nothing', '192.0.2.1', [`for=${client}`], '192.0.2.1'],
  ['a trusted proxy names its caller', '10.0.0.1', [`for=${client}`], client],
  ['in capitals', '10.0.0.1', [`For=${client};Proto=https`], client],
  ['quoted', '10.0.0.1', [`for="${client}"`], client],
  ['quoted with a port', '10.0.0.1', [`for="${client}:47011"`], client],
  ['with an obfuscated port', '10.0.0.1', [`for="${client}:_http"`], client],
  ['IPv6', '10.0.0.1', ['for="[2001:db8:cafe::17]"'], '2001:db8:cafe::17'],
  ['IPv6 with a port', '10.0.0.1', ['For="[2001:db8:cafe::17]:4711"'], '2001:db8:cafe::17'],
  ['with backslashes that say nothing', '10.0.0.1', ['for="\\1\\9\\8.51.100.1"'], client],
  ['among others', '10.0.0.1', [`by=203.0.113.43;for=${client};host="a,b;c";proto=http`], client],
  ['what the caller itself wrote is not read', '10.0.0.1', [`for=203.0.113.9, for=${client}`], client],
  ['nor what it wrote in a line that can not be read', '10.0.0.1', ['for="203', `for=${client}`], client],
  ['two trusted proxies in a row', '10.0.0.1', [`for=9.9.9.9, for=${client}, for=10.0.0.2`], client],
  ['a comma in quotes separates nothing', '10.0.0.1', [`for=${client};secret="x, for=9.9.9.9"`], client],
  ['spaces and tabs around', '10.0.0.1', [` for=9.9.9.9 ,\t for=${client} ; proto=https `], client],
  ['empty elements at the left', '10.0.0.1', [`, , for=${client}`], client],
  ['a trusted proxy without a header', '10.0.0.1', undefined, '10.0.0.1'],
  ['unknown', '10.0.0.1', ['for=unknown'], undefined],
  ['obfuscated', '10.0.0.1', ['for=_hidden'], undefined],
  ['nothing said', '10.0.0.1', [''], undefined],
  ['an element without for', '10.0.0.1', ['for=9.9.9.9, proto=https'], undefined],
  ['an empty element at the right', '10.0.0.1', [`for=${client},`], undefined],
  ['for said twice', '10.0.0.1', [`for=9.9.9.9;for=${client}`], undefined],
  ['for said twice, once in capitals', '10.0.0.1', [`for=${client};FOR=9.9.9.9`], undefined],
  ['IPv6 without quotes', '10.0.0.1', ['for=[2001:db8::1]'], undefined],
  ['IPv6 without brackets', '10.0.0.1', ['for="2001:db8::1"'], undefined],
  ['a port without quotes', '10.0.0.1', [`for=${client}:80`], undefined],
  ['IPv4 in brackets', '10.0.0.1', [`for="[${client}]"`], undefined],
  ['X-Forwarded-For’s way', '10.0.0.1', [client], undefined],
  ['spaces around the equals sign', '10.0.0.1', [`for = ${client}`], undefined],
  ['a quote that does not end', '10.0.0.1', [`for="${client}`], undefined],
  ['a quote in which a proxy’s word ends up', '10.0.0.1', [`for=9.9.9.9;x=", for=${client}`], undefined],
  ['such a quote that the proxy ends', '10.0.0.1', ['for=9.9.9.9;x=", for="[2001:db8::1]"'], undefined],
  ['something behind a quote', '10.0.0.1', [`for="${client}"9`], undefined],
  ['a control character', '10.0.0.1', [`for="${client}\u0001"`], undefined],
];

for (const [header, rows] of [
  ['x-forwarded-for', xForwardedFor],
  ['forwarded', forwarded],
] as [ForwardedHeader, Row[]][]) {
  for (const [what, remote, lines, expected] of rows) {
    test(`${header}: ${what}`, () => assert.equal(clientAddress(remote, header, lines, isTrusted), expected));
  }
}

test('whatever a caller writes before what the proxy wrote, it is the proxy that is believed, or nobody', () => {
  const junk = fc.oneof(
    fc.string({ unit: fc.constantFrom('"', '\\', ',', ';', '=', ' ', 'for', '9.9.9.9', '[::2]', 'x', ':') }),
    fc.string(),
  );
  fc.assert(
    fc.property(junk, fc.boolean(), (written, ownLine) => {
      for (const [header, said] of [
        ['x-forwarded-for', client],
        ['forwarded', `for=${client}`],
        ['forwarded', `for="${client}:80"`],
        ['forwarded', 'for="[2001:db8::1]";proto=https'],
      ] as [ForwardedHeader, string][]) {
        const lines = ownLine ? [written, said] : [`${written}, ${said}`];
        const found = clientAddress('10.0.0.1', header, lines, isTrusted);
        if (found === undefined && !ownLine) continue;
        assert.equal(found, said.includes('::') ? '2001:db8::1' : client);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a long line is read in a moment', () => {
  const line = `${'for="'.repeat(3_000)}, for=${client}`;
  const started = process.hrtime.bigint();
  assert.equal(forwardedFor(line), undefined);
  forwardedFor(`${'a=b;'.repeat(4_000)}x="${'\\'.repeat(16_001)}`);
  forwardedFor(' \t'.repeat(8_000));
  assert.ok(process.hrtime.bigint() - started < 200_000_000n);
});
