import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type EventType, eventTypes } from '../audit/event.ts';
import { unframed } from '../testing/collectors.ts';
import { cefLine } from './cef.ts';
import { ocsfEvent } from './ocsf.ts';
import { ocsfActivities, ocsfClasses, ocsfMapping } from './ocsf-classes.ts';
import { otlpLogs } from './otlp.ts';
import { type ExportedEvent, jsonLine, type Leaf } from './record.ts';
import { framed, syslogMessage } from './syslog-message.ts';

const at = Date.UTC(2026, 10, 1, 9, 0, 0, 7);
const leaf: Leaf = {
  id: 'evt_01jd7x0000000000000000000a',
  at: new Date(at).toISOString(),
  type: 'token.issued',
  outcome: 'allowed',
  org: 'org_1',
  agent: 'agt_1',
  resource: 'https://tickets.example/api',
  jti: 'jti-1',
  commitments: {},
  decided_on: { scope: ['tickets:read'], rev: 7 },
};
const event = (members: Partial<Leaf> = {}, personal?: Record<string, unknown>): ExportedEvent => {
  const whole = { ...leaf, ...members };
  return { at, leaf: whole, text: JSON.stringify(whole), personal };
};

describe('CEF', () => {
  /** A reader after the specification: unescaped pipes end fields of the header, unescaped equals signs keys. */
  function read(line: string) {
    const fields: string[] = [];
    let rest = line;
    for (let i = 0; i < 7; i++) {
      const found = /^((?:[^\\|]|\\[\\|])*)\|/.exec(rest) as RegExpExecArray;
      fields.push((found[1] as string).replaceAll(/\\([\\|])/g, '$1'));
      rest = rest.slice(found[0].length);
    }
    const keys = [...rest.matchAll(/(?:^| )([A-Za-z0-9]+)=/g)].filter(({ index }) => rest[index - 1] !== '\\');
    const extension: Record<string, string> = {};
    for (const [i, found] of keys.entries()) {
      const value = rest.slice(found.index + found[0].length, keys[i + 1]?.index);
      extension[found[1] as string] = value.replaceAll(
        /\\([\\=nr])/g,
        (_, one) => ({ n: '\n', r: '\r' })[one as 'n'] ?? one,
      );
    }
    return { fields, extension };
  }

  test('what was written is read again, whatever stands in it', () => {
    const hostile = 'a|b=c\\d\ne\rf outcome=allowed';
    const line = cefLine(event({ reason: hostile, type: 'to|ken\\.x\n' }), '1.0|x');
    assert.equal(line.split('\n').length, 1);
    const { fields, extension } = read(line);
    assert.deepEqual(fields.slice(0, 5), ['CEF:0', 'Bailiwick', 'Bailiwick', '1.0|x', 'to|ken\\.x ']);
    assert.equal(fields[6], '2');
    assert.equal(extension.externalId, leaf.id);
    assert.equal(extension.rt, String(at));
    assert.equal(extension.outcome, 'allowed');
    assert.ok(line.includes('reason=a|b\\=c\\\\d\\ne\\rf outcome\\=allowed'), line);
    assert.equal(extension.cs1, 'org_1');
    assert.equal(extension.cs1Label, 'organization');
  });

  test('an address only where what is personal goes out', () => {
    assert.ok(!cefLine(event(), '1').includes('src='));
    assert.ok(cefLine(event({}, { address: '203.0.113.7' }), '1').includes(' src=203.0.113.7 '));
  });
});

describe('syslog', () => {
  const origin = { host: 'id.example.com', enterprise: 32473 };

  test('is RFC 5424, with everything escaped that must be', () => {
    const message = syslogMessage(event({ outcome: 'refused', target: 'a"b\\c]d' }), origin);
    const start = `<108>1 2026-11-01T09:00:00.007Z id.example.com bailiwick - token.issued [bailiwick@32473 id="${leaf.id}"`;
    assert.ok(message.startsWith(start), message);
    assert.ok(message.includes(' target="a\\"b\\\\c\\]d"'));
    const [, text] = message.split('] \uFEFF');
    assert.equal((JSON.parse(text as string) as Leaf).id, leaf.id);
    assert.match(syslogMessage(event({ type: 'ä b' }), { ...origin, host: 'ü' }), /^<109>1 \S+ - bailiwick - b \[/);
  });

  test('is framed by bytes, not by characters', () => {
    const message = syslogMessage(event({ reason: 'Grüße, 世界' }), origin);
    assert.deepEqual(unframed(Buffer.concat([framed(message), framed('x')])), [message, 'x']);
  });
});

describe('OTLP', () => {
  test('is JSON as the protocol has it', () => {
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const sent = otlpLogs([event({ trace })], { issuer: 'https://id.example', version: '1', observedAt: at + 5 });
    const [resource] = sent.resourceLogs;
    const [record] = resource?.scopeLogs[0]?.logRecords ?? [];
    assert.equal(record?.timeUnixNano, '1793523600007000000');
    assert.equal(record?.observedTimeUnixNano, '1793523600012000000');
    assert.deepEqual([record?.severityNumber, record?.severityText], [9, 'INFO']);
    assert.equal(record?.traceId, '0af7651916cd43dd8448eb211c80319c');
    assert.equal(record?.spanId, 'b7ad6b7169203331');
    assert.equal(record?.flags, 1);
    const attributes = new Map(record?.attributes.map(({ key, value }) => [key, value]));
    assert.deepEqual(attributes.get('log.record.uid'), { stringValue: leaf.id });
    assert.deepEqual(attributes.get('bailiwick.decided_on'), {
      kvlistValue: {
        values: [
          { key: 'scope', value: { arrayValue: { values: [{ stringValue: 'tickets:read' }] } } },
          { key: 'rev', value: { intValue: '7' } },
        ],
      },
    });
    assert.ok(!attributes.has('client.address'));
    const without = otlpLogs([event({ trace: 'rubbish' })], { issuer: '', version: '1', observedAt: at });
    assert.ok(!('traceId' in (without.resourceLogs[0]?.scopeLogs[0]?.logRecords[0] ?? {})));
  });
});

describe('OCSF 1.8.0', () => {
  /** Beside what every event needs; from the schema's `requirement` and `constraints`. */
  const required: Record<string, string[]> = {
    account_change: ['user'],
    authentication: ['user', 'service'],
    entity_management: ['entity'],
    user_access: ['user', 'privileges'],
    api_activity: ['actor', 'api', 'src_endpoint'],
  };

  for (const type of Object.keys(eventTypes) as EventType[]) {
    test(`${type} has what its class asks for`, () => {
      const mapping = ocsfMapping(type);
      const shown = ocsfEvent(event({ type, target: 'x_1' }), { version: '1' }) as unknown as Record<string, unknown>;
      const { uid, category } = ocsfClasses[mapping.class];
      const activities = ocsfActivities[mapping.class] as Readonly<Record<string, number>>;
      assert.ok(mapping.activity in activities, `${mapping.activity} of ${mapping.class}`);
      const activity = activities[mapping.activity] as number;
      assert.deepEqual(
        [shown.class_uid, shown.category_uid, shown.activity_id, shown.type_uid],
        [uid, category, activity, uid * 100 + activity],
      );
      assert.equal(Math.floor(uid / 1000), category);
      for (const name of ['time', 'severity_id', 'metadata', ...(required[mapping.class] as string[])]) {
        assert.ok(shown[name] !== undefined, name);
      }
      const metadata = shown.metadata as Record<string, unknown>;
      assert.deepEqual([metadata.version, metadata.uid, metadata.event_code], ['1.8.0', leaf.id, type]);
      assert.ok((metadata.product as { name?: string }).name);
      if (activity === 99) assert.notEqual(shown.activity_name, 'Other');
    });
  }

  test('a type that is known to nobody is something too', () => {
    assert.deepEqual(ocsfMapping('moon.landed'), { class: 'entity_management', activity: 'Other' });
  });

  test('a refusal is a failure, and says why', () => {
    const shown = ocsfEvent(event({ type: 'token.refused', outcome: 'refused', reason: 'invalid_scope' }), {
      version: '1',
    });
    assert.deepEqual(
      [shown.type_uid, shown.status_id, shown.severity_id, shown.status_detail],
      [300204, 2, 3, 'invalid_scope'],
    );
  });

  test('the address of a caller goes out with what is personal alone', () => {
    const without = ocsfEvent(event({ type: 'access.used' }), { version: '1' });
    assert.ok(!JSON.stringify(without).includes('203.0.113.7'));
    const shown = ocsfEvent(event({ type: 'access.used' }, { address: '203.0.113.7' }), { version: '1' });
    assert.deepEqual((shown as { src_endpoint?: unknown }).src_endpoint, { ip: '203.0.113.7', uid: 'agt_1' });
  });
});

test('a line of JSON is the leaf’s very bytes, unless something personal is asked for', () => {
  assert.equal(jsonLine(event()), JSON.stringify(leaf));
  const shown = JSON.parse(jsonLine(event({}, { owner: 'per_1' }))) as Record<string, unknown>;
  assert.deepEqual(shown.personal, { owner: 'per_1' });
});
