// Turns proto/ into TypeScript that needs no .proto file at run time: one JSON descriptor a schema, under
// libs/console-stream/src/generated (not kept in git). Needs node_modules and nothing else; writes only what changed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

const schemas = [
  {
    proto: 'proto/gatehouse/console/v1/console_stream.proto',
    output: 'libs/console-stream/src/generated/console-stream-descriptor.ts',
    name: 'consoleStreamDescriptor',
  },
];

export function generateProto() {
  for (const { proto, output, name } of schemas) {
    const descriptor = protobuf.loadSync(path.join(root, proto)).toJSON({ keepComments: false });
    const text = [
      `// Generated from ${proto} by tools/generate-proto.mjs. Do not edit.`,
      "import type { INamespace } from 'protobufjs';",
      '',
      `export const ${name} = ${JSON.stringify(descriptor, null, 2)} as unknown as INamespace;`,
      '',
    ].join('\n');
    const file = path.join(root, output);
    mkdirSync(path.dirname(file), { recursive: true });
    if (read(file) !== text) writeFileSync(file, text);
  }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) generateProto();
