// The rules that run. First the boundary table: which room may import which, and which npm package may
// be used where. Everything below it is machinery.
//
// `npm run lint` builds the Nx project graph first: without it, enforce-module-boundaries is silent.
import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

/** room -> the rooms it may import. A room that is not here may import nothing. */
export const ROOMS = {
  errors: [],
  objects: ['errors'],
  rpc: ['errors', 'objects'],
  contracts: ['errors', 'objects', 'rpc'],
  runtime: ['errors', 'objects', 'rpc'],
  'console-stream': ['errors'],
  database: ['errors'],
  'api-db': ['errors', 'objects', 'database'],
  'cell-db': ['errors', 'objects', 'database'],
  'instance-metadata': ['errors', 'objects', 'cell-db'],

  api: ['errors', 'objects', 'rpc', 'contracts', 'runtime', 'api-db', 'cell-db'],
  consoleauth: ['errors', 'objects', 'rpc', 'contracts', 'runtime', 'cell-db'],
  'compute-agent': ['errors', 'objects', 'rpc', 'contracts', 'runtime', 'cell-db', 'instance-metadata', 'console-stream'],
  'console-proxy': ['errors', 'objects', 'rpc', 'contracts', 'runtime', 'console-stream'],
  metadata: ['errors', 'objects', 'rpc', 'contracts', 'runtime', 'cell-db', 'instance-metadata'],
  cli: ['errors', 'objects', 'runtime', 'api-db', 'cell-db', 'database'],
  standalone: [
    ...['errors', 'objects', 'rpc', 'contracts', 'runtime', 'api-db', 'cell-db', 'instance-metadata', 'database', 'console-stream'],
    ...['api', 'consoleauth', 'compute-agent', 'console-proxy', 'metadata', 'cli'],
  ],
};

export const APPS = ['api', 'consoleauth', 'compute-agent', 'console-proxy', 'metadata', 'cli', 'standalone'];

/** npm package (one star allowed) -> the rooms that may use it outside their tests. Others are free. */
export const PACKAGES = {
  amqplib: ['rpc'],
  '@prisma/*': ['database', 'api-db', 'cell-db'],
  prisma: [],
  pg: ['database', 'api-db', 'cell-db'],
  '@electric-sql/*': ['database', 'api-db', 'cell-db', 'standalone'],
  'pglite-prisma-adapter': ['database', 'api-db', 'cell-db'],
  ioredis: ['consoleauth'],
  '@grpc/*': ['console-stream', 'runtime'],
  '@nestjs/*': [...APPS, 'runtime'],
  fastify: [...APPS, 'runtime'],
  express: [],
  pino: ['runtime'],
  'prom-client': ['runtime'],
};

// Tests, and what stands beside them for them alone.
const TESTS = ['**/*.test.ts', '**/conformance*.ts', '**/fixtures/**/*.ts', '**/testing.ts', '**/test-*.ts'];
const OUTSIDE_ROOMS = ['tools/**', 'test/**', 'bench/**'];

const SYNTAX = [
  { selector: 'TSEnumDeclaration', message: 'No enum: a union of strings, or a frozen object, says the same without a run-time surprise.' },
  { selector: 'ExportDefaultDeclaration', message: 'No default export: a name that is the same everywhere can be searched.' },
  { selector: 'ExportAllDeclaration', message: 'No barrels: import the file that has it.' },
  {
    selector: ':matches(ClassDeclaration, ClassExpression)[superClass]:not([superClass.name=/(Error|Duplex|Transform|Readable|Writable)$/])',
    message: "No inheritance but of errors and Node's streams: take what you need as a constructor argument.",
  },
];

const PROCESS_ENV = {
  selector: 'MemberExpression[object.name="process"][property.name="env"]',
  message: 'Only main.ts reads the environment; everything else gets its configuration as an argument.',
};

// eslint-disable-next-line no-restricted-syntax -- ESLint asks for a default export
export default [
  { ignores: ['**/node_modules/**', '**/dist/**', '**/generated/**', '**/.nx/**', 'artifacts/**', '.gatehouse/**', 'apps/console-proxy/web/vendor/**', 'test/house/released/*/**'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: [{ from: 'package', name: ['describe', 'it'], package: 'mocha' }] }],
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ['**/*.ts', '**/*.mjs', '**/*.js'],
    rules: {
      'max-lines': ['error', 400],
      'no-var': 'error',
      'prefer-const': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-debugger': 'error',
      'no-restricted-syntax': ['error', ...SYNTAX],
    },
  },
  {
    files: ['apps/*/src/**/*.ts', 'libs/*/src/**/*.ts'],
    ignores: [...TESTS, '**/main.ts'],
    rules: { 'no-restricted-syntax': ['error', ...SYNTAX, PROCESS_ENV] },
  },
  ...roomBoundaries(),
  ...packageBoundaries(),
  { files: OUTSIDE_ROOMS, rules: { '@nx/enforce-module-boundaries': 'off' } },
];

function roomBoundaries() {
  // Files of no room: which tests may import them is packageBoundaries' business.
  const depConstraints = Object.entries(ROOMS).map(([room, rooms]) => ({
    sourceTag: `room:${room}`,
    onlyDependOnLibsWithTags: [room, ...rooms].map((name) => `room:${name}`),
  }));
  const rule = (allow) => [
    'error',
    { enforceBuildableLibDependency: false, allow: ['^(\\.\\./)+(test|tools)/', ...allow], depConstraints },
  ];
  return [
    {
      files: ['apps/*/src/**/*.ts', 'libs/*/src/**/*.ts'],
      plugins: { '@nx': nx },
      rules: { '@nx/enforce-module-boundaries': rule([]) },
    },
    {
      // Nx itself forbids importing any app; this one is made of apps.
      files: ['apps/standalone/src/**/*.ts'],
      rules: { '@nx/enforce-module-boundaries': rule(ROOMS.standalone.filter((room) => APPS.includes(room)).map((room) => `@gatehouse/${room}/*`)) },
    },
  ];
}

function packageBoundaries() {
  return Object.keys(ROOMS).map((room) => {
    const forbidden = Object.entries(PACKAGES).filter(([, rooms]) => !rooms.includes(room));
    const patterns = forbidden.map(([name, rooms]) => ({
      group: [name, `${name.replace(/\/\*$/, '')}/**`],
      message: rooms.length === 0 ? 'No room uses it at run time.' : `Only ${rooms.join(', ')} may use it.`,
    }));
    patterns.push({ regex: '(^|/)\\.\\./(test|tools|bench)/', message: 'Only tests import what is for tests.' });
    return {
      files: [`apps/${room}/src/**/*.ts`, `libs/${room}/src/**/*.ts`],
      ignores: TESTS,
      rules: { 'no-restricted-imports': ['error', { patterns }] },
    };
  });
}
