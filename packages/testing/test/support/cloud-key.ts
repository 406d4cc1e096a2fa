/** A provider for the cloud in memory, as those for the real clouds are: the reference that keeps every rule. */

import type { KeyOperation, MasterKeyProvider, WrappedKey } from "@keyfold/core";
import {
  type Bytes,
  badReply,
  KEY_BYTES,
  rejected,
  requireKey,
  requireNotAborted,
  requireOpen,
} from "@keyfold/core/provider";
import { ALIAS, type CloudClient, type Reply } from "./cloud.ts";

export interface CloudKeyOptions {
  /** A key's URI, or the alias. */
  readonly keyId: string;
  readonly client: CloudClient;
  /** Whether the client is the caller's to close. */
  readonly isInjected?: boolean;
  /** False for the provider that believes every reply. */
  readonly checksReplies?: boolean;
}

export function cloudKey({
  keyId,
  client,
  isInjected = false,
  checksReplies = true,
}: CloudKeyOptions): MasterKeyProvider {
  let open: CloudClient | undefined = client;
  const recognizes = (masterKey: string) =>
    keyId === ALIAS ? masterKey.startsWith("memory:eu/") : masterKey === keyId;
  const check = ({ masterKey, bytes }: Reply, isLength: (length: number) => boolean) => {
    if (!checksReplies) return;
    if (!recognizes(masterKey)) throw badReply("Another key answered.");
    if (!isLength(bytes.length)) throw badReply("The reply has another length.");
  };
  return {
    name: keyId,
    authenticatesWraps: true,
    recognizes,
    async wrapKey(key: Uint8Array, operation: KeyOperation): Promise<WrappedKey> {
      requireKey(key);
      const service = requireOpen(open, keyId);
      requireNotAborted(operation.signal);
      const reply = await service.encrypt(keyId, key, operation);
      check(reply, (length) => length > 0);
      return { masterKey: reply.masterKey, ciphertext: reply.bytes };
    },
    async unwrapKey({ masterKey, ciphertext }: WrappedKey, operation: KeyOperation): Promise<Bytes> {
      const service = requireOpen(open, keyId);
      requireNotAborted(operation.signal);
      if (!recognizes(masterKey)) throw rejected("The wrap is another key's.");
      const reply = await service.decrypt(keyId, ciphertext, operation);
      check(reply, (length) => length === KEY_BYTES);
      return reply.bytes;
    },
    async close() {
      if (!isInjected) open?.close();
      open = undefined;
    },
  };
}
