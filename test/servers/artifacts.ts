import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** Where a test leaves a file that a person looks at after the run (a screenshot, a log): artifacts/<name>. */
export function artifactPath(name: string): string {
  const folder = process.env['GATEHOUSE_TEST_ARTIFACTS'] ?? 'artifacts';
  mkdirSync(folder, { recursive: true });
  return join(folder, name);
}
