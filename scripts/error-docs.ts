/**
 * Writes docs/errors.md from `errorTable`; with `--check`, only says whether the committed page is what it would write.
 *
 *     node scripts/error-docs.ts [--check]
 */

import { readFileSync, writeFileSync } from "node:fs";
import { errorTable, type KeyfoldErrorCode } from "../packages/core/src/errors.ts";

const page = new URL("../docs/errors.md", import.meta.url);

/** In the order of the page. */
const groups = {
  envelope: {
    title: "An envelope is refused",
    about:
      "No plaintext is returned. Calling again with the same envelope and the same arguments gives the same answer.",
  },
  masterKey: {
    title: "A master key does not answer as hoped",
    about:
      "The error of the service's SDK is in `cause`. Where several master keys were asked to unwrap a key, the code is `ERR_UNWRAP_FAILED`, and `attempts` has one of these for each.",
  },
  operation: {
    title: "A call cannot be served",
    about: "The envelope may be fine: it is the call, the configuration, or the moment.",
  },
  keyring: {
    title: "A keyring is refused",
    about: "While a process already has a keyring in use, a bad one in the store does not replace it.",
  },
  files: {
    title: "Key files and the file system",
    about: "The message names the file or variable, and how to mend it.",
  },
  fernet: {
    title: "A Fernet token is refused",
    about:
      "Of `@keyfold/secure-secrets`, which reads what the Python program wrote. No plaintext is returned.",
  },
} as const;

/** A code without a group does not compile. */
const groupOf: Record<KeyfoldErrorCode, keyof typeof groups> = {
  ERR_NOT_AN_ENVELOPE: "envelope",
  ERR_UNSUPPORTED_VERSION: "envelope",
  ERR_MALFORMED_ENVELOPE: "envelope",
  ERR_NO_USABLE_WRAP: "envelope",
  ERR_UNAUTHENTICATED_WRAP: "envelope",
  ERR_KEY_MISMATCH: "envelope",
  ERR_HEADER_REJECTED: "envelope",
  ERR_CONTEXT_MISMATCH: "envelope",
  ERR_MESSAGE_ALTERED: "envelope",
  ERR_MESSAGE_TRUNCATED: "envelope",
  ERR_UNKNOWN_KEY: "envelope",
  ERR_KEY_DESTROYED: "envelope",
  ERR_MASTER_KEY_DENIED: "masterKey",
  ERR_MASTER_KEY_NOT_FOUND: "masterKey",
  ERR_MASTER_KEY_DISABLED: "masterKey",
  ERR_MASTER_KEY_THROTTLED: "masterKey",
  ERR_MASTER_KEY_UNAVAILABLE: "masterKey",
  ERR_MASTER_KEY_REJECTED: "masterKey",
  ERR_MASTER_KEY_BAD_REPLY: "masterKey",
  ERR_CREDENTIALS: "masterKey",
  ERR_UNWRAP_FAILED: "masterKey",
  ERR_INVALID_ARGUMENT: "operation",
  ERR_NOT_CONFIGURED: "operation",
  ERR_NOT_TEXT: "operation",
  ERR_ABORTED: "operation",
  ERR_NOT_READY: "operation",
  ERR_CLOSED: "operation",
  ERR_BUDGET: "operation",
  ERR_PROVIDER_NOT_INSTALLED: "operation",
  ERR_UNKNOWN_SCHEME: "operation",
  ERR_KEYRING_NOT_FOUND: "keyring",
  ERR_KEYRING_UNAVAILABLE: "keyring",
  ERR_KEYRING_INVALID: "keyring",
  ERR_KEYRING_CONFLICT: "keyring",
  ERR_KEYRING_ROLLBACK: "keyring",
  ERR_KEYRING_FULL: "keyring",
  ERR_KEYRING_READ_ONLY: "keyring",
  ERR_KEY_FILE: "files",
  ERR_FIELD: "operation",
  ERR_IO: "files",
  ERR_FERNET_INVALID: "fernet",
  ERR_FERNET_EXPIRED: "fernet",
};

const intro = `<!-- Generated from errorTable in packages/core/src/errors.ts by scripts/error-docs.ts. Do not edit: run "npm run docs". -->

# Errors

Everything that keyfold refuses or fails at is a \`KeyfoldError\`:

- \`code\` says what happened. One code has one meaning, and is part of the interface: compare with it, never with \`message\`.
- \`message\` says the same in words, and what to do. It holds no key, no plaintext and no value of an encryption context.
- \`retryable\` says whether the very same call may succeed later with nothing changed.
- \`cause\` is the foreign error behind this one, if there is one.
- \`attempts\`, of a failed unwrap, names each master key that was tried and why it failed.
- \`retryAfter\` is the wait in milliseconds that the service asked for, if it did.
`;

function render(): string {
  const codes = Object.keys(errorTable) as KeyfoldErrorCode[];
  const sections = Object.entries(groups).flatMap(([group, { title, about }]) => [
    `## ${title}\n\n${about}\n`,
    ...codes.filter((code) => groupOf[code] === group).map(section),
  ]);
  return [intro, ...sections].join("\n");
}

function section(code: KeyfoldErrorCode): string {
  const { meaning, remedy } = errorTable[code];
  return `### ${code}\n\n${escaped(meaning)}\n\n- What to do: ${escaped(remedy)}\n- Retryable: ${retryable(code)}\n`;
}

function retryable(code: KeyfoldErrorCode): string {
  if (code === "ERR_UNWRAP_FAILED") return "if any of the attempts is";
  return errorTable[code].retryable ? "yes" : "no";
}

/** What would be markup in Markdown, as text. */
function escaped(text: string): string {
  return text.replaceAll(/[\\`*<]/g, "\\$&");
}

/** The page as it is committed, or "" where there is none yet. */
function committed(): string {
  try {
    return readFileSync(page, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

if (process.argv.includes("--check")) {
  if (committed() !== render()) {
    console.error(
      'docs/errors.md is not what errorTable says: run "npm run docs" and commit the page with the table.',
    );
    process.exitCode = 1;
  }
} else {
  writeFileSync(page, render());
}
