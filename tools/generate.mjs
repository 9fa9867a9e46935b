// Makes what is generated and not kept in git: the Prisma clients and the console stream's descriptor.
// Each generator does nothing when its output is fresh.
//
//   node tools/generate.mjs
import { fileURLToPath } from 'node:url';
import { failTool, say } from './steps/say.mjs';

export async function generate() {
  // Imported here: both need node_modules, which the caller may just have installed.
  const { generatePrisma } = await import('./generate-prisma.mjs');
  const { generateProto } = await import('./generate-proto.mjs');
  generateProto();
  const startedAt = Date.now();
  const databases = await generatePrisma();
  if (databases.length > 0) {
    say(`generated the database clients (${databases.join(', ')}) in ${Math.round((Date.now() - startedAt) / 1000)} s`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await generate().catch(failTool);
