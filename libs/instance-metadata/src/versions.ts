/** The versions of both trees, as old as the releases that brought them. A version has all that those before it had. */

export const EC2_VERSIONS = [
  '1.0', '2007-01-19', '2007-03-01', '2007-08-29', '2007-10-10', '2007-12-15', '2008-02-01', '2008-09-01', '2009-04-04',
] as const;
export type Ec2Version = (typeof EC2_VERSIONS)[number];
export const EC2_LATEST: Ec2Version = '2009-04-04';

export const FOLSOM = '2012-08-10';
export const GRIZZLY = '2013-04-04';
export const HAVANA = '2013-10-17';
export const LIBERTY = '2015-10-15';
export const NEWTON_ONE = '2016-06-30';
export const NEWTON_TWO = '2016-10-06';
export const OCATA = '2017-02-22';
export const ROCKY = '2018-08-27';
export const VICTORIA = '2020-10-14';

export const OPENSTACK_VERSIONS = [FOLSOM, GRIZZLY, HAVANA, LIBERTY, NEWTON_ONE, NEWTON_TWO, OCATA, ROCKY, VICTORIA] as const;
export type OpenstackVersion = (typeof OPENSTACK_VERSIONS)[number];
export const OPENSTACK_LATEST: OpenstackVersion = VICTORIA;

/** What clients may call the newest. */
export const LATEST = 'latest';
