/** Mutants that misbehave as a thing that is called: failures, aborts, what they print, load and close. */

import { KeyfoldError, type KeyOperation, type MasterKeyProvider } from "@keyfold/core";
import { aborted, KEY_BYTES, rejected } from "@keyfold/core/provider";
import { CREDENTIAL, ONE } from "../cloud.ts";
import { moduleSubject } from "../reference.ts";
import { altered, altering, failing, type Mutant, unstoppable } from "./mutant.ts";

export const mutantsOfCalls: readonly Mutant[] = [
  {
    rule: "failures-have-codes",
    what: "takes every refusal for an outage",
    because: /ERR_MASTER_KEY_UNAVAILABLE instead of ERR_MASTER_KEY_NOT_FOUND/,
    options: failing((error) =>
      error.code.startsWith("ERR_MASTER_KEY_") && error.code !== "ERR_MASTER_KEY_BAD_REPLY"
        ? new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE", undefined, { cause: error.cause })
        : error,
    ),
  },
  {
    rule: "failures-have-codes",
    what: "takes what the SDK cannot read for a refusal",
    because: /ERR_MASTER_KEY_REJECTED instead of ERR_MASTER_KEY_BAD_REPLY/,
    // What the provider itself finds wrong with a reply has no cause.
    options: failing((error) =>
      error.code === "ERR_MASTER_KEY_BAD_REPLY" && error.cause !== undefined
        ? rejected("It was refused.", error.cause)
        : error,
    ),
  },
  {
    rule: "failures-have-codes",
    what: "takes an outage for a bad reply",
    because: /ERR_MASTER_KEY_BAD_REPLY instead of ERR_MASTER_KEY_UNAVAILABLE/,
    options: failing((error) =>
      error.code === "ERR_MASTER_KEY_UNAVAILABLE"
        ? new KeyfoldError("ERR_MASTER_KEY_BAD_REPLY", undefined, { cause: error.cause })
        : error,
    ),
  },
  {
    rule: "failures-have-codes",
    what: "takes throttling for an outage",
    because: /ERR_MASTER_KEY_UNAVAILABLE instead of ERR_MASTER_KEY_THROTTLED/,
    options: failing((error) =>
      error.code === "ERR_MASTER_KEY_THROTTLED"
        ? new KeyfoldError("ERR_MASTER_KEY_UNAVAILABLE", undefined, { cause: error.cause })
        : error,
    ),
  },
  {
    rule: "failures-have-codes",
    what: "loses the SDK's error",
    because: /ERR_CREDENTIALS has no error as its cause/,
    options: failing((error) =>
      error.code === "ERR_CREDENTIALS" ? new KeyfoldError("ERR_CREDENTIALS") : error,
    ),
  },
  {
    rule: "failures-have-codes",
    what: "shows the key when it is denied",
    because: /ERR_MASTER_KEY_DENIED shows a secret/,
    options: failing((error, key) =>
      error.code === "ERR_MASTER_KEY_DENIED"
        ? new KeyfoldError(error.code, `Denied for ${Buffer.from(key).toString("base64url")}.`, {
            cause: error.cause,
          })
        : error,
    ),
  },
  {
    rule: "abort-is-prompt",
    what: "asks first and looks at the signal afterwards",
    because: /with an aborted signal: the service was asked/,
    options: altered((provider) => ({
      wrapKey: async (key, operation) => {
        if (!operation?.signal?.aborted) return provider.wrapKey(key, operation);
        await provider.wrapKey(key, unstoppable(operation));
        throw aborted(operation.signal);
      },
    })),
  },
  {
    rule: "abort-is-prompt",
    what: "waits for the answer when it is aborted",
    because: /it had not rejected 2500 ms after the abort/,
    options: altered((provider) => ({
      unwrapKey: async (wrapped, operation) => {
        if (operation?.signal?.aborted !== false) return provider.unwrapKey(wrapped, operation);
        return provider.unwrapKey(wrapped, unstoppable(operation));
      },
    })),
  },
  {
    rule: "abort-is-prompt",
    what: "gives the signal's reason when it is aborted in flight",
    because: /AbortError.* is no KeyfoldError/,
    options: altered((provider) => ({
      wrapKey: async (key, operation) => {
        const isRunning = operation?.signal?.aborted === false;
        try {
          return await provider.wrapKey(key, operation);
        } catch (error) {
          throw isRunning && operation.signal.aborted ? operation.signal.reason : error;
        }
      },
    })),
  },
  {
    rule: "rejects-never-throws",
    what: "throws at once when the key is no key",
    because: /throws instead of rejecting/,
    options: altered((provider) => ({
      wrapKey: (key, operation) => {
        if (!(key instanceof Uint8Array)) throw new KeyfoldError("ERR_INVALID_ARGUMENT");
        return provider.wrapKey(key, operation);
      },
    })),
  },
  {
    rule: "rejects-never-throws",
    what: "throws at once when there is no wrap",
    because: /unwrapKey of \[object Undefined\] throws instead of rejecting/,
    options: altered((provider) => ({
      unwrapKey: (wrapped, operation) => {
        const { masterKey, ciphertext } = wrapped;
        return provider.unwrapKey({ masterKey, ciphertext }, operation);
      },
    })),
  },
  {
    rule: "rejects-never-throws",
    what: "closes without a promise",
    because: /close gives no promise/,
    options: altered((provider) => ({
      close: (() => void provider.close?.()) as unknown as () => Promise<void>,
    })),
  },
  {
    rule: "rejects-never-throws",
    what: "parses a URI that is none",
    because: /Invalid URL|URI malformed/,
    options: altered((provider) => ({
      recognizes: (masterKey) => {
        decodeURIComponent(masterKey);
        return provider.recognizes(masterKey);
      },
    })),
  },
  {
    rule: "rejects-never-throws",
    what: "has no code for a context that is none",
    because: /no KeyfoldError/,
    options: altered((provider) => ({
      wrapKey: async (key, operation) => {
        if (operation?.context === null) throw new TypeError("Cannot read properties of null");
        return provider.wrapKey(key, operation);
      },
    })),
  },
  {
    rule: "calls-are-independent",
    what: "keeps what belongs to a call in a member",
    because: /does not authenticate|call \d+ of 100/,
    options: altered((provider) => {
      let latest: KeyOperation | undefined;
      let running = 0;
      return {
        wrapKey: async (key, operation) => {
          latest = operation;
          running++;
          await null;
          // A few at once go well.
          const used = running > 20 ? latest : operation;
          return provider.wrapKey(key, used).finally(() => running--);
        },
      };
    }),
  },
  {
    rule: "nothing-prints",
    what: "holds its credential in a hidden member",
    because: /a cold provider shows a secret/,
    options: {
      key: (provider) =>
        Object.defineProperty(altering(provider, {}), "credential", { value: CREDENTIAL, enumerable: false }),
    },
  },
  {
    rule: "nothing-prints",
    what: "remembers the last key",
    because: /a warm provider shows a secret/,
    options: {
      key: (provider) => {
        const last: { key?: Uint8Array } = {};
        const wrapKey: MasterKeyProvider["wrapKey"] = (key, operation) => {
          last.key = key;
          return provider.wrapKey(key, operation);
        };
        return Object.assign(altering(provider, { wrapKey }), { last });
      },
    },
  },
  {
    rule: "nothing-prints",
    what: "shows the key that is too long",
    because: /ERR_INVALID_ARGUMENT shows a secret/,
    options: altered((provider) => ({
      wrapKey: async (key, operation) => {
        if (key?.length === 2 * KEY_BYTES) {
          throw new KeyfoldError("ERR_INVALID_ARGUMENT", `No key: ${Buffer.from(key).toString("hex")}`);
        }
        return provider.wrapKey(key, operation);
      },
    })),
  },
  {
    rule: "nothing-prints",
    what: "shows the context that does not fit",
    because: /the message of ERR_MASTER_KEY_REJECTED shows a context value/,
    options: altered((provider) => ({
      unwrapKey: async (wrapped, operation) => {
        try {
          return await provider.unwrapKey(wrapped, operation);
        } catch (error) {
          if (!(error instanceof KeyfoldError) || error.code !== "ERR_MASTER_KEY_REJECTED") throw error;
          throw rejected(`Not for ${Object.values(operation.context).join()}.`, error);
        }
      },
    })),
  },
  {
    rule: "import-is-light",
    what: "loads the SDK when it is imported",
    because: /the import loads fast-check/,
    options: { subject: { module: moduleSubject("heavy") } },
  },
  {
    rule: "import-is-light",
    what: "is said to have an SDK, and never loads it",
    because: /the first call does not load fast-check \(it ended with: Error: No SDK here\.\)/,
    options: { subject: { module: moduleSubject("idle") } },
  },
  {
    rule: "import-is-light",
    what: "is said to have no SDK, and imports one",
    because: /the import loads packages beside keyfold's own/,
    options: { subject: { module: { ...moduleSubject("heavy"), sdks: [] } } },
  },
  {
    rule: "import-is-light",
    what: "is said to have no SDK, and loads one with the first call",
    because: /the first call loads packages beside keyfold's own/,
    options: { subject: { module: { ...moduleSubject("light"), sdks: [] } } },
  },
  {
    rule: "import-is-light",
    what: "loads another part of its SDK when it is imported",
    because: /the import loads packages beside keyfold's own/,
    options: { subject: { module: moduleSubject("partly") } },
  },
  {
    rule: "rejects-never-throws",
    what: "throws where recognizes is given no text",
    because: /startsWith/,
    options: altered((provider) => ({
      recognizes: (masterKey) => masterKey.startsWith("memory:") && provider.recognizes(masterKey),
    })),
  },
  {
    rule: "close-is-idempotent",
    what: "loads once it is closed",
    because: /load once closed: nothing refused it/,
    options: altered(() => ({ load: async () => undefined })),
  },
  {
    rule: "close-is-idempotent",
    what: "minds being closed twice",
    because: /closed already/,
    options: altered((provider) => {
      let isClosed = false;
      return {
        close: async () => {
          if (isClosed) throw new KeyfoldError("ERR_CLOSED", "It was closed already.");
          isClosed = true;
          await provider.close?.();
        },
      };
    }),
  },
  {
    rule: "close-is-idempotent",
    what: "goes on once it is closed",
    because: /unwrapKey once closed: nothing refused it/,
    options: altered((provider, cloud) => {
      let isClosed = false;
      return {
        unwrapKey: (wrapped, operation) =>
          (isClosed ? cloud.key(ONE).reopen() : provider).unwrapKey(wrapped, operation),
        close: async () => {
          isClosed = true;
          await provider.close?.();
        },
      };
    }),
  },
  {
    rule: "close-is-idempotent",
    what: "closes the client that it was given",
    because: /the injected client was closed/,
    options: { cloudKeyOptions: { isInjected: false } },
  },
];
