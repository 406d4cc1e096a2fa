/** `@keyfold/core/node`: what needs a file system. */

export { type FileSource, fileSource, openFile, rewrapFile, sealFile } from "./files.ts";
export { fileKeyringStore } from "./keyring-file.ts";
