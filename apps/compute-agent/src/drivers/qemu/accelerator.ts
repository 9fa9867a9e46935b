/**
 * Whether KVM works here, tried and not believed: in nested and emulated environments /dev/kvm opens and guests
 * then stand still. The trial is a machine whose firmware is one instruction that ends it with a known exit
 * code, on the plainest processor that every KVM can give; where that fails, TCG is slower and sure.
 */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

const TRIAL_TIMEOUT_MS = 3_000;
const FIRMWARE_BYTES = 64 * 1024;
/** mov al, 16; out 0xf4, al; hlt. The device at port 0xf4 ends QEMU with (16 << 1) | 1. */
const PROGRAM = [0xb0, 0x10, 0xe6, 0xf4, 0xf4];
const EXIT_CODE = 33;

export async function chooseAccelerator(wanted: 'auto' | 'kvm' | 'tcg', binary: string, folder: string): Promise<'kvm' | 'tcg'> {
  if (wanted !== 'auto') return wanted;
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  return (await kvmRuns(binary, folder)) ? 'kvm' : 'tcg';
}

async function kvmRuns(binary: string, folder: string): Promise<boolean> {
  const firmware = path.join(folder, `trial-${process.pid}.bin`);
  await writeFile(firmware, firmwareImage());
  const args = ['-accel', 'kvm', '-cpu', 'kvm64,enforce', '-machine', 'pc', '-m', '1', '-no-user-config', '-nodefaults', '-display', 'none',
    '-bios', firmware, '-device', 'isa-debug-exit,iobase=0xf4,iosize=1'];
  try {
    return (await exitCode(binary, args)) === EXIT_CODE;
  } finally {
    await rm(firmware, { force: true });
  }
}

/** The processor begins 16 bytes before the end. */
function firmwareImage(): Buffer {
  const image = Buffer.alloc(FIRMWARE_BYTES, 0xf4);
  Buffer.from(PROGRAM).copy(image, FIRMWARE_BYTES - 16);
  return image;
}

function exitCode(binary: string, args: readonly string[]): Promise<number | null> {
  return new Promise((resolve) => {
    execFile(binary, args, { timeout: TRIAL_TIMEOUT_MS, killSignal: 'SIGKILL' }, (error) => {
      if (!error) resolve(0);
      else resolve(typeof error.code === 'number' ? error.code : null);
    });
  });
}
