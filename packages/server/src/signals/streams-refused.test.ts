/** What receivers ask of their streams that is refused, and why. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type SignalReceiver, signalReceiver } from '../testing/signal-receiver.ts';

const push = 'urn:ietf:rfc:8935';
const pollMethod = 'urn:ietf:rfc:8936';
const delivery = { method: push, endpoint_url: 'https://receiver.example/signals', authorization_header: 'Bearer abc' };

for (const database of databases) {
  describe(`streams of signals that are refused, on ${database}`, () => {
    let server: TestServer;
    let receiver: SignalReceiver;
    before(async () => {
      server = await startServer({ database, config: { signals: { signing_alg: 'ES256' } } });
      receiver = await signalReceiver(server);
    });
    after(() => server.close());

    const remove = (id: string) => receiver.call('DELETE', `/ssf/streams?stream_id=${id}`);

    describe('refused', () => {
      let id: string;
      before(async () => {
        id = (await receiver.stream()).stream_id;
      });
      after(() => remove(id));

      const subject = { format: 'opaque', id: 'x' };
      const pushing = (more: object) => ({ delivery: { ...delivery, ...more } });
      const table: [string, string, string, (id: string) => unknown, number, string][] = [
        ['a body that is no object', 'POST', '/ssf/streams', () => '[]', 400, 'body'],
        ['no JSON', 'POST', '/ssf/streams', () => '{', 400, 'body'],
        [
          'a body that nests too deep',
          'POST',
          '/ssf/streams',
          () => `{"a":${'['.repeat(40)}${']'.repeat(40)}}`,
          400,
          'body',
        ],
        [
          'a delivery that nobody knows',
          'POST',
          '/ssf/streams',
          () => ({ delivery: { method: 'urn:x' } }),
          400,
          'delivery.method',
        ],
        [
          'plain http',
          'POST',
          '/ssf/streams',
          () => pushing({ endpoint_url: 'http://receiver.example/' }),
          400,
          'delivery.endpoint_url',
        ],
        [
          'a push to nowhere',
          'POST',
          '/ssf/streams',
          () => pushing({ endpoint_url: undefined }),
          400,
          'delivery.endpoint_url',
        ],
        [
          'a password in the address',
          'POST',
          '/ssf/streams',
          () => pushing({ endpoint_url: 'https://a:b@receiver.example/' }),
          400,
          'delivery.endpoint_url',
        ],
        [
          'a header with a line break',
          'POST',
          '/ssf/streams',
          () => pushing({ authorization_header: 'a\r\nb: c' }),
          400,
          'delivery.authorization_header',
        ],
        [
          'an address to poll at',
          'POST',
          '/ssf/streams',
          () => ({ delivery: { method: pollMethod, endpoint_url: 'https://x.example/' } }),
          400,
          'delivery.endpoint_url',
        ],
        ['no events', 'POST', '/ssf/streams', () => ({ events_requested: [] }), 400, 'events_requested'],
        ['events that are none', 'POST', '/ssf/streams', () => ({ events_requested: [1] }), 400, 'events_requested'],
        ['a description that is none', 'POST', '/ssf/streams', () => ({ description: 1 }), 400, 'description'],
        ['a long description', 'POST', '/ssf/streams', () => ({ description: 'a'.repeat(1001) }), 400, 'description'],
        ['a change without a stream', 'PATCH', '/ssf/streams', () => ({}), 400, 'stream_id'],
        ['a change of a stream that is none', 'PATCH', '/ssf/streams', () => ({ stream_id: 'x' }), 404, ''],
        ['another audience', 'PATCH', '/ssf/streams', (stream_id) => ({ stream_id, aud: 'x' }), 400, 'aud'],
        ['another issuer', 'PUT', '/ssf/streams', (stream_id) => ({ stream_id, iss: 'https://x.example' }), 400, 'iss'],
        [
          'other events delivered',
          'PATCH',
          '/ssf/streams',
          (stream_id) => ({ stream_id, events_delivered: [] }),
          400,
          'events_delivered',
        ],
        ['a removal without a stream', 'DELETE', '/ssf/streams', () => undefined, 400, 'stream_id'],
        ['a status without a stream', 'GET', '/ssf/status', () => undefined, 400, 'stream_id'],
        ['a status that is none', 'POST', '/ssf/status', (stream_id) => ({ stream_id, status: 'off' }), 400, 'status'],
        [
          'a reason that is none',
          'POST',
          '/ssf/status',
          (stream_id) => ({ stream_id, status: 'paused', reason: 1 }),
          400,
          'reason',
        ],
        ['a state that is none', 'POST', '/ssf/verification', (stream_id) => ({ stream_id, state: {} }), 400, 'state'],
        ['a verification of nothing', 'POST', '/ssf/verification', () => ({}), 400, 'stream_id'],
        ['no subject', 'POST', '/ssf/subjects/add', (stream_id) => ({ stream_id }), 400, 'subject'],
        [
          'a subject without a format',
          'POST',
          '/ssf/subjects/add',
          (stream_id) => ({ stream_id, subject: { id: 'x' } }),
          400,
          'subject',
        ],
        [
          'a subject without its members',
          'POST',
          '/ssf/subjects/add',
          (stream_id) => ({ stream_id, subject: { format: 'iss_sub', iss: 'x' } }),
          400,
          'subject',
        ],
        [
          'a complex subject of nobody',
          'POST',
          '/ssf/subjects/remove',
          (stream_id) => ({ stream_id, subject: { format: 'complex' } }),
          400,
          'subject',
        ],
        [
          'a complex subject in another',
          'POST',
          '/ssf/subjects/add',
          (stream_id) => ({ stream_id, subject: { format: 'complex', user: { format: 'complex', user: subject } } }),
          400,
          'subject',
        ],
        [
          'verified by words',
          'POST',
          '/ssf/subjects/add',
          (stream_id) => ({ stream_id, subject, verified: 'yes' }),
          400,
          'verified',
        ],
        ['fewer than no events', 'POST', '/ssf/poll/ID', () => ({ maxEvents: -1 }), 400, 'maxEvents'],
        ['half an event', 'POST', '/ssf/poll/ID', () => ({ maxEvents: 1.5 }), 400, 'maxEvents'],
        ['no yes or no', 'POST', '/ssf/poll/ID', () => ({ returnImmediately: 1 }), 400, 'returnImmediately'],
        ['an acknowledgement that is none', 'POST', '/ssf/poll/ID', () => ({ ack: 'x' }), 400, 'ack'],
        ['1001 acknowledgements', 'POST', '/ssf/poll/ID', () => ({ ack: Array(1001).fill('x') }), 400, 'ack'],
        ['an error without its code', 'POST', '/ssf/poll/ID', () => ({ setErrs: { x: {} } }), 400, 'setErrs'],
        ['errors in a list', 'POST', '/ssf/poll/ID', () => ({ setErrs: [] }), 400, 'setErrs'],
        ['a method that is not offered', 'PUT', '/ssf/status', () => ({}), 405, ''],
      ];
      for (const [what, method, path, body, status, field] of table) {
        test(what, async () => {
          const answer = await receiver.call(method, path.replace('ID', id), body(id));
          assert.equal(answer.status, status, JSON.stringify(answer.body));
          if (field !== '') assert.equal(answer.body.errors?.[0]?.field, field, JSON.stringify(answer.body));
        });
      }

      test('an eleventh stream', async () => {
        const many = await signalReceiver(server);
        for (let n = 0; n < 10; n += 1) await many.stream();
        assert.equal((await many.call('POST', '/ssf/streams', {})).status, 409);
      });
    });
  });
}
