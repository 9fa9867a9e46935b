// What the tests need from the machine, from Debian's packages. Root gets the missing ones installed;
// everyone else gets the one line to run. No package may start its service: tests start their own
// servers and never touch the machine's.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { StepError, runStep, say } from './say.mjs';

/**
 * package -> a file (one star allowed) that shows it is there, and the classes of tests that need it; `asleep`: a file that keeps it
 * from doing anything to this machine by itself, there before the package is.
 */
const PACKAGES = [
  { name: 'postgresql', file: '/usr/lib/postgresql/*/bin/postgres', classes: ['db', 'e2e'] },
  { name: 'rabbitmq-server', file: '/usr/lib/rabbitmq/bin/rabbitmq-server', classes: ['broker', 'e2e'] },
  { name: 'erlang-base', file: '/usr/bin/erl_call', classes: ['broker', 'e2e'] },
  { name: 'python3-oslo.messaging', file: '/usr/lib/python3/dist-packages/oslo_messaging', classes: ['broker'] },
  { name: 'python3-oslo.versionedobjects', file: '/usr/lib/python3/dist-packages/oslo_versionedobjects', classes: ['broker'] },
  { name: 'python3-nova', file: '/usr/lib/python3/dist-packages/nova', classes: ['broker', 'e2e'] },
  { name: 'python3-openstackclient', file: '/usr/bin/openstack', classes: ['e2e'] },
  { name: 'iproute2', file: '/bin/ip', classes: ['e2e'] },
  { name: 'openssl', file: '/usr/bin/openssl', classes: ['e2e'] },
  { name: 'haproxy', file: '/usr/sbin/haproxy', classes: ['e2e'] },
  { name: 'nginx', file: '/usr/sbin/nginx', classes: ['e2e'] },
  { name: 'python3-websocket', file: '/usr/lib/python3/dist-packages/websocket', classes: ['e2e'] },
  { name: 'redis-server', file: '/usr/bin/redis-server', classes: ['e2e'] },
  { name: 'memcached', file: '/usr/bin/memcached', classes: ['e2e'] },
  { name: 'novnc', file: '/usr/share/novnc/vnc_lite.html', classes: ['e2e'] },
  { name: 'spice-html5', file: '/usr/share/spice-html5/spice_auto.html', classes: ['e2e'] },
  { name: 'chromium', file: '/usr/bin/chromium', classes: ['e2e'] },
  { name: 'qemu-system-x86', file: '/usr/bin/qemu-system-x86_64', classes: ['e2e'] },
  { name: 'tigervnc-standalone-server', file: '/usr/bin/Xtigervnc', classes: ['e2e'] },
  { name: 'seabios', file: '/usr/share/seabios/bios-256k.bin', classes: ['e2e'] },
  { name: 'busybox-static', file: '/usr/share/doc/busybox-static', classes: ['e2e'] },
  { name: 'cpio', file: '/bin/cpio', classes: ['e2e'] },
  { name: 'genisoimage', file: '/usr/bin/genisoimage', classes: ['e2e'] },
  // Only read as a library; installed, it would take this machine for a cloud's at its next boot.
  { name: 'cloud-init', file: '/usr/lib/python3/dist-packages/cloudinit', classes: ['e2e'], asleep: '/etc/cloud/cloud-init.disabled' },
  { name: 'linux-image-cloud-amd64', file: '/boot/vmlinuz-*-cloud-amd64', classes: ['e2e'] },
];

/**
 * Installs what tests of these classes need and the machine lacks.
 *
 * @param {ReadonlySet<string>} classes
 * @param {{ uid?: number | undefined, packages?: typeof PACKAGES }} [machine] this one unless told
 */
export async function installSystemPackages(classes, { uid = process.getuid?.(), packages = PACKAGES } = {}) {
  const missing = missingPackages(classes, packages);
  if (missing.length === 0) return;
  const asleep = packages.filter((entry) => missing.includes(entry.name)).flatMap((entry) => entry.asleep ?? []);
  const line = `${asleep.map((file) => `mkdir -p ${dirname(file)} && touch ${file} && `).join('')}apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (uid !== 0) {
    throw new StepError(`the tests need packages that are not installed, and installing takes root. Run this once:\n\n  sudo sh -c '${line}'\n`);
  }
  if (!existsSync('/usr/bin/apt-get')) throw new StepError(`the tests need ${missing.join(', ')}, and this machine has no apt-get`);
  for (const file of asleep) putToSleep(file);
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' } };
  await withoutServiceStarts(async () => {
    const apt = ['-o', 'DPkg::Lock::Timeout=300'];
    await runStep('reading the package lists', 'apt-get', [...apt, 'update'], options).catch((error) => say(error.message));
    await runStep(
      `installing ${missing.join(', ')} (a few minutes)`,
      'apt-get',
      [...apt, 'install', '-y', '--no-install-recommends', ...missing],
      options,
    );
  });
  const still = missingPackages(classes, packages);
  if (still.length > 0) throw new StepError(`installed, and yet missing: ${still.join(', ')}`);
}

function putToSleep(file) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, '');
}

function missingPackages(classes, packages) {
  return packages.filter((entry) => entry.classes.some((name) => classes.has(name)) && !exists(entry.file)).map((entry) => entry.name);
}

// Debian asks this file before a package starts or stops a service; 101 means "no".
async function withoutServiceStarts(work) {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return work();
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await work();
  } finally {
    rmSync(policy, { force: true });
  }
}

function exists(pattern) {
  if (!pattern.includes('*')) return existsSync(pattern);
  const [before, after] = pattern.split('*');
  const folder = before.endsWith('/') ? before : `${dirname(before)}/`;
  if (!existsSync(folder)) return false;
  return readdirSync(folder).some((name) => {
    if (!`${folder}${name}`.startsWith(before)) return false;
    return after.startsWith('/') ? existsSync(`${folder}${name}${after}`) : name.endsWith(after);
  });
}
