/**
 * Who asks. Strategy `none` believes what the token says, `user:project`, and is meant for one person on one
 * machine: the api refuses to start with it on an address that others can reach, unless told so.
 *
 * - The user `admin` is an administrator, in any project.
 * - `notused` is what the openstack client sends with `--os-auth-type none`: the administrator, project `default`.
 * - A bare `user` means the project of the same name, as in Nova's noauth2.
 * - No token at all is refused: a web page of another origin can send such a request, but not one with this header.
 */
import { ServiceError } from '@gatehouse/errors/service-error';

export interface Caller {
  readonly userId: string;
  readonly projectId: string;
  readonly isAdmin: boolean;
  readonly roles: readonly string[];
}

export interface Identity {
  /** The caller that a token stands for. Throws UNAUTHENTICATED without repeating the token. */
  authenticate(token: string | undefined): Promise<Caller>;
}

const PART = /^[A-Za-z0-9_.@-]{1,64}$/;
const ADMIN = 'admin';
const CLIENT_WITHOUT_AUTH = 'notused';

export const identityNone: Identity = {
  async authenticate(token) {
    if (token === undefined || token === '') {
      throw new ServiceError('UNAUTHENTICATED', 'X-Auth-Token is missing: send user:project');
    }
    if (token === CLIENT_WITHOUT_AUTH) return callerOf(ADMIN, 'default');
    const [userId = '', projectId = userId, ...more] = token.split(':');
    if (more.length > 0 || !PART.test(userId) || !PART.test(projectId)) {
      throw new ServiceError(
        'UNAUTHENTICATED',
        'X-Auth-Token is malformed: send user:project, each 1 to 64 letters, digits, dots, dashes, underscores or @',
      );
    }
    return callerOf(userId, projectId);
  },
};

function callerOf(userId: string, projectId: string): Caller {
  const isAdmin = userId === ADMIN;
  return { userId, projectId, isAdmin, roles: isAdmin ? ['admin', 'member', 'reader'] : ['member', 'reader'] };
}
