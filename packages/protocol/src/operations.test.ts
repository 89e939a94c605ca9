import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { compileOperations, type Operation } from './index.ts';
import { code } from './testing.ts';

const operation = (name: string, method: string, path: string): Operation => ({
  name,
  method,
  path,
  scope: ['x'],
  sensitivity: 'low',
});

const find = compileOperations([
  operation('list', 'GET', '/tickets'),
  operation('read', 'GET', '/tickets/{id}'),
  operation('mine', 'GET', '/tickets/mine'),
  operation('create', 'POST', '/tickets'),
  operation('close', 'POST', '/tickets/{id}/close'),
  operation('mine-comments', 'GET', '/tickets/mine/comments'),
  operation('comment', 'GET', '/tickets/{id}/comments/{comment}'),
  operation('files', 'GET', '/files/{rest*}'),
  operation('public', 'GET', '/files/public/{name}'),
  operation('root', 'GET', '/'),
  operation('folder', 'GET', '/folder/'),
  operation('accent', 'GET', '/caf%C3%A9'),
  { name: 'search', tool: 'search', scope: ['x'], sensitivity: 'low' },
]);

suite('operations', () => {
  const cases: [method: string, path: string, name: string | undefined][] = [
    ['GET', '/tickets', 'list'],
    ['HEAD', '/tickets', 'list'],
    ['POST', '/tickets', 'create'],
    ['DELETE', '/tickets', undefined],
    ['get', '/tickets', undefined],
    ['GET', '/tickets/17', 'read'],
    ['GET', '/tickets/mine', 'mine'],
    ['GET', '/tickets/%6dine', 'mine'],
    ['GET', '/tickets/MINE', undefined],
    ['GET', '/Tickets', undefined],
    ['GET', '/tickets/mine/comments', 'mine-comments'],
    ['GET', '/tickets/mine/comments/3', 'comment'],
    ['GET', '/tickets/17/comments/3', 'comment'],
    ['POST', '/tickets/17/close', 'close'],
    ['GET', '/tickets/17/close', undefined],
    ['GET', '/tickets/', undefined],
    ['GET', '/tickets/17/', undefined],
    ['GET', '/files', undefined],
    ['GET', '/files/', undefined],
    ['GET', '/files/a', 'files'],
    ['GET', '/files/a/b/c', 'files'],
    ['GET', '/files/a/b/', 'files'],
    ['GET', '/files/public/x', 'public'],
    ['GET', '/files/public/x/y', 'files'],
    ['GET', '/files/PUBLIC/x', undefined],
    ['GET', '/', 'root'],
    ['GET', '', undefined],
    ['GET', '/folder/', 'folder'],
    ['GET', '/folder', undefined],
    ['GET', '/caf%C3%A9', 'accent'],
    ['GET', '/caf%c3%a9', 'accent'],
    ['GET', '/café', 'accent'],
    ['GET', '/unlisted', undefined],
    ['GET', '/tickets/a%20b', 'read'],
    ['GET', '/tickets/a;b', 'read'],
    ['GET', 'tickets', undefined],
    ['GET', '//tickets', undefined],
    ['GET', '/files//a', undefined],
    ['GET', '/tickets/a%2fb', undefined],
    ['GET', '/tickets/a%2Fb', undefined],
    ['GET', '/tickets/a%5cb', undefined],
    ['GET', '/tickets/a\\b', undefined],
    ['GET', '/tickets/a%252fb', undefined],
    ['GET', '/tickets/.', undefined],
    ['GET', '/tickets/..', undefined],
    ['GET', '/tickets/%2e', undefined],
    ['GET', '/tickets/%2E%2e', undefined],
    ['GET', '/tickets/.%2e', undefined],
    ['GET', '/tickets/..;a', undefined],
    ['GET', '/tickets/;a', undefined],
    ['GET', '/tickets/;a/comments/3', undefined],
    ['GET', '/tickets/ABC', 'read'],
    ['GET', '/folder;a', undefined],
    ['GET', '/files/../tickets', undefined],
    ['GET', '/tickets/...', 'read'],
    ['GET', '/tickets/%00', undefined],
    ['GET', '/tickets/a\0', undefined],
    ['GET', '/tickets/a%0d%0ab', undefined],
    ['GET', '/tickets/%', undefined],
    ['GET', '/tickets/%zz', undefined],
    ['GET', '/tickets/%ff', undefined],
    ['GET', '/tickets/a?b', undefined],
    ['GET', '/tickets/a#b', undefined],
    ['GET', '/tickets/a b', undefined],
    ['GET', '/tickets/a ', undefined],
    ['GET', '/tickets/a%3fb', undefined],
    ['GET', '/tickets/{id}', 'read'],
    ['GET', `/tickets/${'a'.repeat(9000)}`, undefined],
    ['constructor', '/tickets', undefined],
    ['GET', '/__proto__', undefined],
  ];
  for (const [method, path, name] of cases) {
    test(`${method} ${path.slice(0, 40)} is ${name ?? 'refused'}`, () => assert.equal(find(method, path)?.name, name));
  }

  const guarded = [
    operation('any file', 'GET', '/files/{rest*}'),
    operation('admin', 'GET', '/files/admin'),
    operation('users', 'GET', '/files/admin/users'),
    operation('two', 'GET', '/t/{a}/{b}'),
    operation('purge', 'GET', '/t/all/purge'),
    operation('any', 'GET', '/any/{rest*}'),
    operation('one', 'GET', '/any/{one}'),
    operation('street', 'GET', '/files/straße'),
  ];
  const findGuarded = compileOperations(guarded);
  for (const path of [
    '/files/ADMIN',
    '/files/admin/',
    '/files/admin/users/',
    '/files/admin/USERS',
    '/files/%41dmin',
    '/files/admin;x=1',
    '/files/admin%3bx=1',
    '/files/admin;x=1/',
    '/files/admin;x=1/users',
    '/files/admin;x=1/else',
    '/files/admin/users;x/',
    '/files/admin/u\u017fers',
    '/files/STRA\u1e9eE',
    '/files/;x/admin',
    '/t/all/PURGE',
    '/t/ALL/purge',
    '/t/all/purge;x',
    '/t/all;x/purge',
    '/any/a/',
    '/files/admin.json',
    '/files/admin.JSON',
    '/files/admin.tar.gz',
    '/files/admin.',
    '/files/admin..',
    '/files/admin%20',
    '/files/admin%C2%A0',
    '/files/admin%20.json',
    '/files/admin.json/',
    '/files/admin.json;x',
    '/files/admin%2ejson',
    '/files/admin/users.csv',
    '/t/all/purge.xml',
  ]) {
    test(`GET ${path} is refused, since others may take it for a listed path that is more exact`, () => {
      assert.equal(findGuarded('GET', path), undefined);
      assert.equal(findGuarded('HEAD', path), undefined);
    });
  }

  for (const [path, name] of [
    ['/files/Report.PDF', 'any file'],
    ['/files/a/B/', 'any file'],
    ['/files/a;v=1/b', 'any file'],
    ['/files/admin/users/7', 'any file'],
    ['/files/admin', 'admin'],
    ['/t/ALL/else', 'two'],
    ['/t/01JD/X;y', 'two'],
    ['/files/report.pdf', 'any file'],
    ['/files/.admin', 'any file'],
    ['/files/administrator.json', 'any file'],
    ['/files/admin.json/users', 'any file'],
    ['/t/all/purge.d/else', undefined],
    ['/t/a.b/c.d', 'two'],
    ['/any/a.json', 'one'],
  ] as const) {
    test(`GET ${path} is ${name}, however it is read`, () => assert.equal(findGuarded('GET', path)?.name, name));
  }

  test('a path with a format that is listed as it is, is that one; another format is the one without, or nobody’s', () => {
    const formats = compileOperations([
      operation('page', 'GET', '/{page}'),
      operation('api', 'GET', '/openapi.json'),
      operation('export', 'GET', '/export'),
      operation('table', 'GET', '/export.csv'),
      operation('folder', 'GET', '/folders/{name}/'),
      operation('drop', 'GET', '/folders/drop'),
    ]);
    const names = (...paths: string[]) => paths.map((path) => formats('GET', path)?.name);
    assert.deepEqual(names('/openapi.json', '/openapi', '/openapi.yaml'), ['api', 'page', 'page']);
    assert.deepEqual(names('/export', '/export.csv', '/export.json'), ['export', 'table', undefined]);
    assert.deepEqual(names('/folders/a.b/', '/folders/drop.zip/'), ['folder', undefined]);
  });

  test('a long run of dots or blanks is read in no time', () => {
    for (const run of ['.'.repeat(8000), `${'%20'.repeat(2600)}a`, `a${'.%20'.repeat(2000)}`]) {
      const started = performance.now();
      findGuarded('GET', `/files/admin${run}`);
      assert.ok(performance.now() - started < 50);
    }
  });

  test('a template in capitals or with a trailing slash is guarded as well as one without', () => {
    const odd = compileOperations([
      operation('low', 'GET', '/{rest*}'),
      operation('admin', 'GET', '/Admin'),
      operation('folder', 'GET', '/folder/'),
    ]);
    const names = ['/Admin', '/folder/', '/admin', '/folder', '/else'].map((path) => odd('GET', path)?.name);
    assert.deepEqual(names, ['admin', 'folder', undefined, undefined, 'low']);
  });

  test('what is listed in two spellings is told apart by them', () => {
    const both = compileOperations([operation('small', 'GET', '/a'), operation('large', 'GET', '/A')]);
    assert.deepEqual([both('GET', '/a')?.name, both('GET', '/A')?.name], ['small', 'large']);
  });

  test('a HEAD that is refused as itself does not come through as GET', () => {
    const heads = compileOperations([operation('low', 'GET', '/{rest*}'), operation('high', 'HEAD', '/admin')]);
    assert.deepEqual([heads('HEAD', '/admin')?.name, heads('HEAD', '/ADMIN')], ['high', undefined]);
  });

  test('a path that would take a backtracking matcher forever is refused at once', () => {
    const many = compileOperations(
      Array.from({ length: 64 }, (_, i) => operation(`o${i}`, 'GET', `/${'{a}/a/'.repeat(i + 1)}end`)),
    );
    const started = performance.now();
    assert.equal(many('GET', `/${'a/'.repeat(2000)}x`), undefined);
    assert.ok(performance.now() - started < 200);
  });

  const wrong: [name: string, operations: Partial<Operation>[]][] = [
    ['neither path nor tool', [{}]],
    ['a path without a method', [{ path: '/a' }]],
    ['a method without a path', [{ method: 'GET' }]],
    ['a method in small letters', [{ method: 'get', path: '/a' }]],
    ['a path without a slash', [{ method: 'GET', path: 'a' }]],
    ['a path with a query', [{ method: 'GET', path: '/a?b' }]],
    ['a path with dots', [{ method: 'GET', path: '/a/../b' }]],
    ['a path with an encoded slash', [{ method: 'GET', path: '/a%2fb' }]],
    ['a path with two slashes', [{ method: 'GET', path: '/a//b' }]],
    ['a rest before the end', [{ method: 'GET', path: '/{a*}/b' }]],
    ['half a parameter', [{ method: 'GET', path: '/a-{b}' }]],
    ['a star', [{ method: 'GET', path: '/a/*' }]],
    [
      'the same twice',
      [
        { method: 'GET', path: '/a' },
        { method: 'GET', path: '/a' },
      ],
    ],
    [
      'the same but for a name',
      [
        { method: 'GET', path: '/{a}' },
        { method: 'GET', path: '/{b}' },
      ],
    ],
    [
      'two rests',
      [
        { method: 'GET', path: '/{a*}' },
        { method: 'GET', path: '/{b*}' },
      ],
    ],
  ];
  for (const [name, list] of wrong) {
    test(`refuses to compile ${name}`, () => {
      const operations = list.map((part): Operation => ({ name: 'o', scope: [], sensitivity: 'low', ...part }));
      assert.equal(
        code(() => compileOperations(operations)),
        'bad_operation',
      );
    });
  }

  const everything = compileOperations([operation('all', 'GET', '/{rest*}')]);
  const segment = fc.string({ unit: fc.constantFrom(...'abAB.%25cfeE/\\;~ '), maxLength: 8 });

  test('property: even where all is listed, nothing ambiguous matches', () => {
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        const path = `/${segments.join('/')}`;
        if (everything('GET', path) === undefined) return;
        assert.ok(!/%2f|%5c|\\|\/\//i.test(path), path);
        const decoded = decodeURIComponent(path);
        assert.ok(!/%[0-9a-f]{2}/i.test(decoded), path);
        for (const part of decoded.split('/')) assert.ok(part !== '.' && part !== '..', path);
        // A URL parser, which resolves dots, sees the same path.
        assert.equal(decodeURIComponent(new URL(`http://h${path}`).pathname), decoded, path);
      }),
      { numRuns: 2000 },
    );
  });

  test('property: ordinary paths do match, decoded or not', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-zA-Z0-9_~-]{1,8}$/), { minLength: 1, maxLength: 5 }), (segments) => {
        assert.equal(everything('GET', `/${segments.join('/')}`)?.name, 'all');
        const encoded = segments.map((part) => `%${part.charCodeAt(0).toString(16)}${part.slice(1)}`);
        assert.equal(everything('GET', `/${encoded.join('/')}`)?.name, 'all');
      }),
    );
  });

  test('property: a path that reads loosely as a listed one is that one or nothing', () => {
    const literal = fc.constantFrom('a', 'b', 'ab', 'A', 'bB');
    const part = fc.oneof({ weight: 3, arbitrary: literal }, { weight: 2, arbitrary: fc.constant('{p}') });
    const template = fc
      .tuple(fc.array(part, { minLength: 1, maxLength: 4 }), fc.constantFrom('', '', '/', '/{rest*}'))
      .map(([parts, end]) => `/${parts.join('/')}${end}`);
    const written = fc
      .tuple(
        fc.constantFrom('a', 'b', 'ab', 'A', 'B', 'aB', '%41', '%62', 'c'),
        fc.constantFrom('', '', '', ';', ';x=1'),
      )
      .map((both) => both.join(''));
    const request = fc
      .tuple(fc.array(written, { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([parts, slash]) => `/${parts.join('/')}${slash ? '/' : ''}`);
    const plain = (path: string) =>
      decodeURIComponent(path)
        .toLowerCase()
        .replace(/;[^/]*/g, '')
        .replace(/\/$/, '');
    let concerned = 0;
    fc.assert(
      fc.property(fc.uniqueArray(template, { minLength: 1, maxLength: 8 }), request, (templates, path) => {
        const found = compileOperations(templates.map((one) => operation(one, 'GET', one)))('GET', path)?.name;
        if (!templates.some((one) => !one.includes('{') && plain(one) === plain(path))) return;
        concerned += 1;
        // Two listed spellings of one path are for the operator to tell apart; a parameter never is.
        assert.ok(found === undefined || plain(found) === plain(path), `${path} is ${found}`);
      }),
      { numRuns: 10_000 },
    );
    assert.ok(concerned > 100, `only ${concerned} cases`);
  });
});
