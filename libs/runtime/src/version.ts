/** The release this code belongs to; a test holds it equal to the root package.json. */
export const VERSION = '0.1.0';
