/** What is measured with much data: whole in memory, as a stream, from file to file. */

/** Pieces of a plaintext or of a sealed one, one after the other; each is good until the next is asked for. */
export type Pieces = Iterable<Uint8Array>;
export type Take = (piece: Uint8Array) => void;

/** Bytes in a piece, as Node's file streams have them. */
export const PIECE_BYTES = 65_536;

export type Way = "whole" | "stream" | "file";

/** Each pair is there if the contender has that way. */
export interface BulkSealer {
  sealWhole?(plaintext: Uint8Array): Uint8Array | Promise<Uint8Array>;
  openWhole?(sealed: Uint8Array): Uint8Array | Promise<Uint8Array>;
  sealStream?(pieces: Pieces, take: Take): void | Promise<void>;
  openStream?(pieces: Pieces, take: Take): void | Promise<void>;
  sealFile?(from: string, to: string): void | Promise<void>;
  openFile?(from: string, to: string): void | Promise<void>;
}

export interface BulkContender {
  readonly name: string;
  readonly package?: string;
  readonly ways: readonly Way[];
  /** Where it does less than keyfold, or something else. */
  readonly differs: string;
  start(): Promise<BulkSealer>;
}
