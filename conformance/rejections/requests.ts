// What can be wrong with a token request before anyone looks at who sends it, and with what it asks for.
// RFC 6749 §3.2, §4.4, §5.2; RFC 8707 §2.
import type { Row, Scene } from './row.ts';

const basic = `Basic ${Buffer.from('agt_x:secret').toString('base64')}`;
const form = 'application/x-www-form-urlencoded';

export const requestRows: Row[] = [
  // the envelope
  ['GET', { method: 'GET', body: '' }, 405, 'invalid_request'],
  [
    'GET with everything in the query',
    { method: 'GET', body: '', query: '?grant_type=client_credentials' },
    405,
    'invalid_request',
  ],
  ['PUT', { method: 'PUT' }, 405, 'invalid_request'],
  ['DELETE', { method: 'DELETE' }, 405, 'invalid_request'],
  ['no content type', { type: null }, 400, 'invalid_request'],
  ['JSON', { type: 'application/json', body: '{"grant_type":"client_credentials"}' }, 400, 'invalid_request'],
  ['broken JSON', { type: 'application/json', body: '{"grant_type":' }, 400, 'invalid_request'],
  ['a form that says it is text', { type: 'text/plain' }, 400, 'invalid_request'],
  ['a multipart form', { type: 'multipart/form-data; boundary=x', body: '--x--' }, 400, 'invalid_request'],
  ['a content type that is none', { type: ';;;' }, 400, 'invalid_request'],
  ['a content type that only begins right', { type: `${form}x` }, 400, 'invalid_request'],
  ['a body over the limit', { form: { padding: 'x'.repeat(70_000) } }, 413, 'invalid_request'],
  ['an empty body', { body: '' }, 401, 'invalid_client'],
  ['bytes that are no form', { body: Buffer.from([0xff, 0xfe, 0x00, 0x80]) }, 400, 'invalid_request'],
  ['percent signs with nothing behind them', { body: (encoded) => `${encoded}&x=%` }, 400, 'invalid_request'],
  ['percent signs with other letters behind them', { body: (encoded) => `${encoded}&x=%zz` }, 400, 'invalid_request'],
  ['percent-encoding that is no UTF-8', { body: (encoded) => `${encoded}&x=%ff%fe` }, 400, 'invalid_request'],
  ['overlong UTF-8', { body: (encoded) => `${encoded}&x=%c0%af` }, 400, 'invalid_request'],
  ['half of a surrogate pair in UTF-8', { body: (encoded) => `${encoded}&x=%ed%a0%80` }, 400, 'invalid_request'],
  [
    'raw bytes that are no UTF-8',
    { body: (encoded) => Buffer.concat([Buffer.from(`${encoded}&x=`), Buffer.from([0xff])]) },
    400,
    'invalid_request',
  ],
  [
    'parameters in the query instead of the body',
    { body: '', query: '?grant_type=client_credentials' },
    401,
    'invalid_client',
  ],

  // grant_type
  ['no grant_type', { form: { grant_type: undefined } }, 400, 'invalid_request'],
  ['an empty grant_type', { form: { grant_type: '' } }, 400, 'invalid_request'],
  ['grant_type twice', { form: { grant_type: ['client_credentials', 'client_credentials'] } }, 400, 'invalid_request'],
  ['two different grant_types', { form: { grant_type: ['client_credentials', 'password'] } }, 400, 'invalid_request'],
  ['a grant_type that nobody knows', { form: { grant_type: 'urn:example:grant' } }, 400, 'unsupported_grant_type'],
  [
    'grant_type password',
    { form: { grant_type: 'password', username: 'a', password: 'b' } },
    400,
    'unsupported_grant_type',
  ],
  ['grant_type in other letters', { form: { grant_type: 'Client_Credentials' } }, 400, 'unsupported_grant_type'],
  ['grant_type with a space behind it', { form: { grant_type: 'client_credentials ' } }, 400, 'unsupported_grant_type'],
  ['grant_type __proto__', { form: { grant_type: '__proto__' } }, 400, 'unsupported_grant_type'],
  ['grant_type constructor', { form: { grant_type: 'constructor' } }, 400, 'unsupported_grant_type'],
  ['a grant_type that the agent was not given', ({ grantless }) => ({ client: grantless }), 400, 'unauthorized_client'],

  // repeated parameters
  [
    'client_assertion twice',
    ({ accessToken }) => ({ form: { client_assertion: [accessToken, accessToken] } }),
    400,
    'invalid_request',
  ],
  ['client_assertion_type twice', { form: { client_assertion_type: ['a', 'b'] } }, 400, 'invalid_request'],
  ['client_id twice', ({ client }) => ({ form: { client_id: [client.id, client.id] } }), 400, 'invalid_request'],
  ['scope twice', ({ scope }) => ({ form: { scope: [scope, scope] } }), 400, 'invalid_request'],
  ['a parameter that nobody knows, twice', { form: { x: ['1', '2'] } }, 400, 'invalid_request'],

  // scope
  ['a scope that no role gives', { form: { scope: 'tickets:delete' } }, 400, 'invalid_scope'],
  ['a scope that the resource does not have', { form: { scope: 'nothing:at-all' } }, 400, 'invalid_scope'],
  [
    'one scope that is given and one that is not',
    ({ scope }) => ({ form: { scope: `${scope} tickets:delete` } }),
    400,
    'invalid_scope',
  ],
  ['a scope in other letters', ({ scope }) => ({ form: { scope: scope.toUpperCase() } }), 400, 'invalid_scope'],
  [
    'a scope with a line break and a header',
    ({ scope }) => ({ form: { scope: `${scope}\r\nSet-Cookie: a=b` } }),
    400,
    'invalid_scope',
  ],
  ['a scope with a NUL', ({ scope }) => ({ form: { scope: `${scope}\0` } }), 400, 'invalid_scope'],
  ['a scope with a quote', ({ scope }) => ({ form: { scope: `${scope}"` } }), 400, 'invalid_scope'],
  ['a scope with a backslash', ({ scope }) => ({ form: { scope: `${scope}\\` } }), 400, 'invalid_scope'],
  ['a scope outside ASCII', ({ scope }) => ({ form: { scope: `${scope} über` } }), 400, 'invalid_scope'],
  ['two spaces between scopes', ({ scope }) => ({ form: { scope: `${scope}  ${scope}` } }), 400, 'invalid_scope'],
  ['a space before the scope', ({ scope }) => ({ form: { scope: ` ${scope}` } }), 400, 'invalid_scope'],
  ['a tab between scopes', ({ scope }) => ({ form: { scope: `${scope}\t${scope}` } }), 400, 'invalid_scope'],
  [
    'ten thousand scopes',
    {
      form: {
        scope: Array.from({ length: 10_000 }, (_, index) => `s${index}`)
          .join(' ')
          .slice(0, 40_000),
      },
    },
    400,
    'invalid_scope',
  ],

  // resource
  [
    'no resource where none is the default',
    ({ aimless }) => ({ client: aimless, form: { resource: undefined } }),
    400,
    'invalid_target',
  ],
  ['a resource that nobody knows', { form: { resource: 'https://nowhere.example/' } }, 400, 'invalid_target'],
  [
    'a resource that it was not given',
    ({ foreignResource }) => ({ form: { resource: foreignResource } }),
    400,
    'invalid_target',
  ],
  ['a retired resource', ({ retiredResource }) => ({ form: { resource: retiredResource } }), 400, 'invalid_target'],
  [
    'two resources',
    ({ resource, foreignResource }) => ({ form: { resource: [resource, foreignResource] } }),
    400,
    'invalid_target',
  ],
  ['the same resource twice', ({ resource }) => ({ form: { resource: [resource, resource] } }), 400, 'invalid_target'],
  ['a resource that is no URI', { form: { resource: 'tickets' } }, 400, 'invalid_target'],
  ['a resource with a fragment', ({ resource }) => ({ form: { resource: `${resource}#x` } }), 400, 'invalid_target'],
  ['a resource with a query', ({ resource }) => ({ form: { resource: `${resource}?x=1` } }), 400, 'invalid_target'],
  ['a resource with a slash more', ({ resource }) => ({ form: { resource: `${resource}/` } }), 400, 'invalid_target'],
  [
    'a resource in other letters',
    ({ resource }) => ({ form: { resource: resource.toUpperCase() } }),
    400,
    'invalid_target',
  ],
  [
    'a path below the resource',
    ({ resource }) => ({ form: { resource: `${resource}/tickets/1` } }),
    400,
    'invalid_target',
  ],
  [
    'a resource with a line break and a header',
    ({ resource }) => ({ form: { resource: `${resource}\r\nX-Injected: 1` } }),
    400,
    'invalid_target',
  ],
  ['a resource with a NUL', ({ resource }) => ({ form: { resource: `${resource}\0` } }), 400, 'invalid_target'],
  [
    'a resource of 30 KB',
    ({ resource }) => ({ form: { resource: `${resource}/${'x'.repeat(30_000)}` } }),
    400,
    'invalid_target',
  ],

  // how the client says who it is
  ['no client authentication at all', withoutAssertion(), 401, 'invalid_client'],
  ['only a client_id', ({ client }) => withoutAssertion({ client_id: client.id }), 401, 'invalid_client'],
  [
    'a client_secret',
    ({ client }) => withoutAssertion({ client_id: client.id, client_secret: 's' }),
    401,
    'invalid_client',
  ],
  ['HTTP Basic', { ...withoutAssertion(), headers: [['Authorization', basic]] }, 401, 'invalid_client'],
  [
    'HTTP Basic that is no base64',
    { ...withoutAssertion(), headers: [['Authorization', 'Basic ???']] },
    401,
    'invalid_client',
  ],
  [
    'an access token in place of client authentication',
    ({ accessToken }: Scene) => ({ ...withoutAssertion(), headers: [['Authorization', `Bearer ${accessToken}`]] }),
    401,
    'invalid_client',
  ],
  ['an assertion and HTTP Basic', { headers: [['Authorization', basic]] }, 400, 'invalid_request'],
  ['an assertion and a client_secret', { form: { client_secret: 's' } }, 400, 'invalid_request'],
  ['an assertion without its type', { form: { client_assertion_type: undefined } }, 400, 'invalid_request'],
  ['a type without an assertion', { form: { client_assertion: undefined } }, 400, 'invalid_request'],
  ['an empty assertion', { form: { client_assertion: '' } }, 400, 'invalid_request'],
  [
    'an assertion type that nobody knows',
    { form: { client_assertion_type: 'urn:example:assertion' } },
    401,
    'invalid_client',
  ],
  [
    'a SAML assertion',
    { form: { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' } },
    401,
    'invalid_client',
  ],
  ['the client_id of another agent', ({ other }) => ({ form: { client_id: other.id } }), 401, 'invalid_client'],
  ['a client_id with a NUL', ({ client }) => ({ form: { client_id: `${client.id}\0` } }), 401, 'invalid_client'],
  ['a client_id of 30 KB', { form: { client_id: 'x'.repeat(30_000) } }, 401, 'invalid_client'],
];

function withoutAssertion(form: Record<string, string> = {}) {
  return { form: { client_assertion: undefined, client_assertion_type: undefined, ...form } };
}
