/** docs/nova-consoles.md against the tests of ours that it names. */
import { describeTable } from './table-suite.ts';

describeTable({ title: "the table of Nova's console tests", document: 'nova-consoles.md', replays: (file) => !/^(metadata|key-pairs)-/.test(file), testsMin: 200 });
