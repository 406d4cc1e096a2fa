/** Hex by Node's own means, so that a test does not lean on the code it tests. */

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

export function unhex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Buffer.from(text, "hex"));
  if (bytes.length * 2 !== text.length) throw new Error("This is not hex.");
  return bytes;
}
