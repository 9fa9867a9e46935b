/**
 * A guest of tests that needs no system: the first program of its processor sends back what comes in on its two serial
 * ports, byte by byte. 64 KiB for QEMU's -bios; it is there as soon as QEMU is.
 */
const FIRMWARE_BYTES = 64 * 1024;
const RESET_AT = 0xfff0;

/** For each port: when its line status (base + 5) says that a byte has come, read it and write it; then the other port, for ever. */
const PROGRAM = [
  ...[0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0x05, 0xba, 0xf8, 0x03, 0xec, 0xee],
  ...[0xba, 0xfd, 0x02, 0xec, 0xa8, 0x01, 0x74, 0xeb, 0xba, 0xf8, 0x02, 0xec, 0xee, 0xeb, 0xe4],
];
/** jmp f000:0000 */
const RESET = [0xea, 0x00, 0x00, 0x00, 0xf0];

export function echoFirmware(): Buffer {
  const image = Buffer.alloc(FIRMWARE_BYTES, 0xf4);
  image.set(PROGRAM, 0);
  image.set(RESET, RESET_AT);
  return image;
}
