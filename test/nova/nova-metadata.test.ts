/** docs/nova-metadata.md against the tests of ours that it names. */
import { describeTable } from './table-suite.ts';

describeTable({ title: "the table of Nova's metadata tests", document: 'nova-metadata.md', replays: (file) => file.startsWith('metadata-'), testsMin: 95 });
