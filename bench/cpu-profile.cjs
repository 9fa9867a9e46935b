// `node --require` this: the process writes its CPU profile into BENCH_PROFILE_DIR when it exits (node
// does not take --cpu-prof from NODE_OPTIONS). Chrome's developer tools open it.
const { writeFileSync } = require('node:fs');
const { Session } = require('node:inspector');
const { basename, dirname, join } = require('node:path');

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.start');
process.on('exit', () => {
  const file = join(process.env.BENCH_PROFILE_DIR, `${basename(dirname(process.argv[1]))}.cpuprofile`);
  session.post('Profiler.stop', (_error, { profile }) => writeFileSync(file, JSON.stringify(profile)));
});
