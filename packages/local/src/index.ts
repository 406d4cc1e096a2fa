export { envKey } from "./env-key.ts";
export { type LocalKeyFileOptions, localKeyFile } from "./file-key.ts";
export { createLocalKeyFile, rotateLocalKeyFile } from "./key-file-write.ts";
export { type PassphraseOptions, passphraseKey } from "./passphrase.ts";
export { masterKeyFromUri } from "./uri.ts";
