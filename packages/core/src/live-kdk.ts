/** A KDK in memory: how long it may stay there, and what asks for it again. */

import type { Instant } from "./clock.ts";
import type { Freshness } from "./freshness.ts";
import type { Kdk } from "./key-hierarchy.ts";
import type { WrappedKey } from "./master-key.ts";
import type { Sieved } from "./sieve.ts";

export interface LiveKdk extends Sieved {
  readonly kdk: Kdk;
  /** Its own; the KDKs of a keyring share that of the keyring key. */
  readonly freshness: Freshness;
  /** What it is wrapped in; none where it is in a keyring. */
  wraps: readonly WrappedKey[];
  /** Whether the wraps are known to be the sealer's: made here, or authenticated by a header that opened. */
  proven: boolean;
  /** Asks the master key again, in the background, where that is due. */
  keepFresh(now: Instant): void;
}
