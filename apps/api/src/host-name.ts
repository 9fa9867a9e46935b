/** A guest's host name made of its display name, by Nova's rules. */
const HOST_NAME_CHARS_MAX = 63;

/** Lower case letters, digits, dots and dashes, at most 63; `Server-<uuid>` where nothing is left of the name. */
export function hostNameOf(displayName: string, uuid: string): string {
  const plain = displayName
    .replaceAll(/[ _]/g, '-')
    .replaceAll(/[^A-Za-z0-9.-]/g, '')
    .toLowerCase()
    .replaceAll(/^[.-]+|[.-]+$/g, '');
  const cut = plain.slice(0, HOST_NAME_CHARS_MAX).replaceAll(/[.-]+$/g, '');
  return cut === '' ? `Server-${uuid}` : cut;
}
