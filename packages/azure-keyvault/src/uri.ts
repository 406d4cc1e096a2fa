/** The provider by URI, for `masterKeysFromUri` of `@keyfold/core`. */

import { KeyfoldError, type MasterKeyProvider } from "@keyfold/core";
import { parseMasterKeyUri } from "@keyfold/core/provider";
import type { AzureKeyVaultAlgorithm } from "./algorithms.ts";
import { type AzureKeyVaultSettings, azureKeyVault } from "./azure-keyvault.ts";
import { SCHEME } from "./key-id.ts";

/**
 * The provider of `azure-keyvault://HOST/keys/NAME`, with `/VERSION` to wrap with that version, and with
 * `?algorithm=A256KW` for another algorithm than RSA-OAEP-256.
 *
 * @param settings what a URI does not say: the credential, options for the SDK's clients
 * @throws `ERR_INVALID_ARGUMENT`
 */
export function masterKeyFromUri(
  uri: string,
  settings: Omit<AzureKeyVaultSettings, "algorithm"> = {},
): MasterKeyProvider {
  const { location, parameters } = parseMasterKeyUri(uri, SCHEME, ["algorithm"]);
  const algorithm = parameters.get("algorithm");
  return azureKeyVault({ ...settings, keyId: `https://${location}`, algorithm: named(algorithm) });
}

function named(algorithm: string | undefined): AzureKeyVaultAlgorithm | undefined {
  switch (algorithm) {
    case undefined:
    case "RSA-OAEP-256":
    case "A256KW":
    case "A256GCM":
      return algorithm;
    default:
      throw new KeyfoldError(
        "ERR_INVALID_ARGUMENT",
        "The algorithm of an Azure key must be RSA-OAEP-256, A256KW or A256GCM.",
      );
  }
}
