/**
 * A config drive as a file: an ISO 9660 volume labelled `config-2`, with Rock Ridge's and Joliet's names, made by a program
 * that hosts of guests have from their distribution. The files are laid down beside the volume, in the guest's own folder,
 * and are gone when it is made. No word of a user's is an argument: names are those of the metadata's tree.
 */
import { spawn } from 'node:child_process';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { DriveFiles } from '../driver.ts';
import { findProgram } from './host-files.ts';

/** What guests look for: cloud-init, cloudbase-init, Ignition. */
export const VOLUME_LABEL = 'config-2';
export const VOLUME_BYTES_MAX = 64 * 1024 * 1024;
const FILES_MAX = 10_000;
/** As long as a host under load may take for the largest. */
const MAKING_TIMEOUT_MS = 60_000;
const WORDS_MAX = 500;

/** They take the same words; mkisofs is either's other name on some systems. */
const PROGRAMS = ['genisoimage', 'xorrisofs', 'mkisofs'];
/** As Nova's, which also takes names as they are, whatever their length, case and dots. */
const OPTIONS = ['-quiet', '-ldots', '-allow-lowercase', '-allow-multidot', '-l', '-J', '-r', '-V', VOLUME_LABEL, '-publisher', 'Gatehouse'];
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** The absolute path of a program that makes volumes: the one that is named, else the first that this host has; null for none. */
export async function findVolumeProgram(wanted: string | null): Promise<string | null> {
  for (const name of wanted === null ? PROGRAMS : [wanted]) {
    const found = await findProgram(name);
    if (path.isAbsolute(found)) return found;
  }
  return null;
}

/**
 * Makes the volume at `file`, readable by this user alone; in a folder that nobody else may enter.
 * @throws ServiceError FAILED_PRECONDITION: no program, one that fails, or more than a volume holds
 */
export async function makeVolume(program: string | null, files: DriveFiles, file: string): Promise<void> {
  if (program === null) {
    throw new ServiceError('FAILED_PRECONDITION', "a config drive is made by genisoimage or xorrisofs, and this host has neither: install Debian's package genisoimage (or xorriso), or ask for no config drive");
  }
  checkFiles(files);
  const tree = `${file}.files`;
  try {
    await layDown(tree, files);
    await runProgram(program, tree, file);
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

function checkFiles(files: DriveFiles): void {
  let bytes = 0;
  for (const [name, content] of files) {
    if (!name.split('/').every((part) => NAME.test(part))) throw new ServiceError('INTERNAL', 'a file of a config drive has a name that no drive takes');
    bytes += content.length;
  }
  if (files.size <= FILES_MAX && bytes <= VOLUME_BYTES_MAX) return;
  throw new ServiceError('FAILED_PRECONDITION', `the config drive would hold ${files.size} files of ${bytes} bytes in all; it takes ${FILES_MAX} files and ${VOLUME_BYTES_MAX} bytes`);
}

async function layDown(tree: string, files: DriveFiles): Promise<void> {
  await rm(tree, { recursive: true, force: true });
  await mkdir(tree, { mode: 0o700 });
  for (const [name, content] of files) {
    const place = path.join(tree, name);
    await mkdir(path.dirname(place), { recursive: true, mode: 0o700 });
    await writeFile(place, content, { mode: 0o600 });
  }
}

/** The volume is the program's output, into a file that was opened here: so its rights are ours. */
async function runProgram(program: string, tree: string, file: string): Promise<void> {
  await rm(file, { force: true });
  const volume = await open(file, 'wx', 0o600);
  try {
    const failure = await failureOf(program, [...OPTIONS, tree], volume.fd);
    if (failure !== null) throw new ServiceError('FAILED_PRECONDITION', `the config drive could not be made: ${failure}`);
    await volume.sync();
  } finally {
    await volume.close();
  }
}

/** Null where the program did its work; else its words, or how it ended. */
function failureOf(program: string, args: readonly string[], output: number): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', output, 'pipe'], env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' } });
    // Not spawn's own limit: of a program that is not there, its timer would stay.
    const late = setTimeout(() => child.kill('SIGKILL'), MAKING_TIMEOUT_MS);
    const settle = (failure: string | null): void => {
      clearTimeout(late);
      resolve(failure);
    };
    let words = '';
    child.stderr?.setEncoding('utf8');
    child.stderr?.on('data', (text: string) => {
      words = (words + text).slice(-WORDS_MAX);
    });
    child.once('error', (error: NodeJS.ErrnoException) => settle(error.code === 'ENOENT' ? `${program} is not installed` : error.message));
    child.once('close', (code, signal) => settle(code === 0 ? null : words.trim() || `${program} ended with ${signal ?? code}`));
  });
}
