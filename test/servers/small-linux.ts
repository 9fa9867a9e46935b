/**
 * A Linux made in a moment: Debian's cloud kernel (linux-image-cloud-amd64) with an initramfs that holds one
 * file, Debian's static busybox, and a script. A shell waits on every serial port and on the screen.
 *
 * The serial shell's prompt is `small-linux:<port># ` and a line `small-linux ready on ttyS0` goes before it.
 */
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

export interface SmallLinux {
  /** Paths of the kernel and the initramfs, for GATEHOUSE_QEMU_KERNEL and GATEHOUSE_QEMU_INITRD. */
  readonly kernel: string;
  readonly initrd: string;
  /** The kernel's command line, for GATEHOUSE_QEMU_APPEND. */
  readonly append: string;
}

const BUSYBOX = '/bin/busybox';

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TERM=linux
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /modules/*.ko; do [ -e $module ] && insmod $module; done
hostname small-linux
shell() {
  export PS1="$3"
  while true; do
    echo "small-linux ready on $1" > /dev/$1
    setsid -c sh -i < /dev/$1 > /dev/$1 2>&1
    sleep 1
  done
}
for port in 0 1 2 3; do
  stty -F /dev/ttyS$port sane 2>/dev/null || continue
  shell ttyS$port serial "small-linux:$port# " &
done
shell tty1 screen "small-linux# " &
while true; do sleep 1000; done
`;

/** What the kernel needs for a CD drive and what is on it, in the order of their needs; paths below the kernel's modules. */
export const CD_DRIVE_MODULES = [
  'drivers/scsi/scsi_common', 'drivers/scsi/scsi_mod', 'drivers/ata/libata', 'drivers/ata/ata_piix', 'drivers/cdrom/cdrom', 'drivers/scsi/sr_mod', 'fs/isofs/isofs',
] as const;

/** Writes the initramfs into `folder`; throws when Debian's kernel or busybox are not installed, naming the packages. */
export async function makeSmallLinux(folder: string, modules: readonly string[] = []): Promise<SmallLinux> {
  const kernel = await findKernel();
  const busybox = await readFile(BUSYBOX).catch(() => {
    throw new Error(`${BUSYBOX} is missing: install Debian's package busybox-static`);
  });
  await mkdir(folder, { recursive: true });
  const initrd = path.join(folder, 'initramfs.gz');
  await writeFile(initrd, gzipSync(archive(busybox, await readModules(kernel, modules)), { level: 1 }));
  await chmod(initrd, 0o644);
  return { kernel, initrd, append: 'console=tty0 console=ttyS0 quiet panic=-1' };
}

async function findKernel(): Promise<string> {
  const files = await readdir('/boot').catch(() => []);
  const kernels = files.filter((file) => /^vmlinuz-.*-cloud-amd64$/.test(file)).sort();
  const newest = kernels.at(-1);
  if (newest === undefined) throw new Error("no cloud kernel in /boot: install Debian's package linux-image-cloud-amd64");
  return path.join('/boot', newest);
}

/** In the order in which they are loaded. */
function readModules(kernel: string, names: readonly string[]): Promise<Buffer[]> {
  const folder = path.join('/lib/modules', path.basename(kernel).replace('vmlinuz-', ''), 'kernel');
  return Promise.all(names.map((name) => readFile(path.join(folder, `${name}.ko`))));
}

const FOLDER = 0o040755;
const PROGRAM = 0o100755;
const CHARACTER_DEVICE = 0o020600;

function archive(busybox: Buffer, modules: readonly Buffer[]): Buffer {
  const folders = ['bin', 'dev', 'proc', 'sys', 'tmp', 'root', 'modules'].map((name) => entry({ name, mode: FOLDER }));
  return Buffer.concat([
    ...folders,
    entry({ name: 'bin/busybox', mode: PROGRAM, content: busybox }),
    entry({ name: 'init', mode: PROGRAM, content: Buffer.from(INIT) }),
    ...modules.map((content, index) => entry({ name: `modules/${String(index).padStart(2, '0')}.ko`, mode: PROGRAM, content })),
    // The kernel opens it for init before any device file system is mounted.
    entry({ name: 'dev/console', mode: CHARACTER_DEVICE, device: [5, 1] }),
    entry({ name: 'TRAILER!!!', mode: 0 }),
  ]);
}

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly content?: Buffer;
  readonly device?: readonly [major: number, minor: number];
}

/** One member of a cpio archive, format "newc": a header of hexadecimal fields, the name, the content, padded to fours. */
function entry({ name, mode, content = Buffer.alloc(0), device = [0, 0] }: Entry): Buffer {
  const fields = [0, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
  return Buffer.concat([padded(Buffer.from(header)), padded(content)]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
