/** Where the fields of a record are: paths as text, and the record's values that they lead to. docs/spec/fields-v1.md, "Paths". */

import { KeyfoldError, requireArgument } from "./errors.ts";

const KEY = /(?:[^\\.[\]?]|\\[\\.[\]?])+/;
const PATH = new RegExp(`^${KEY.source}(?:\\[\\])*(?:\\.${KEY.source}(?:\\[\\])*)*\\??$`);
const STEPS = new RegExp(`${KEY.source}|\\[\\]`, "g");

/** The fields below one place of a record: it is a field itself, an object with fields, or an array of them. */
interface Node {
  /** Whether a field below has to be there. */
  required: boolean;
  isField: boolean;
  readonly keys: Map<string, Node>;
  each: Node | undefined;
}

/** Paths, parsed. */
export type FieldPaths = Node;

/** A value that a path led to, and its place in a copy of the record. */
export interface FoundField {
  /** The one place, with indexes: `tokens[2]`. */
  readonly path: string;
  readonly value: unknown;
  /** Puts another value in the place. */
  readonly replace: (value: unknown) => void;
}

/** A copy of a record: the objects and arrays on the way to its fields are new, and all else is shared. */
export interface CopiedRecord {
  readonly copy: object;
  /** In the order of the paths. */
  readonly found: readonly FoundField[];
}

/**
 * Parses paths: keys with dots between them, `[]` for each element of an array, `?` at the end where the field may be
 * missing, and a backslash before any of `\ . [ ] ?` in a key.
 *
 * @throws `ERR_INVALID_ARGUMENT` for what is no path, and for two paths that lead to one place or one into the other
 */
export function parsePaths(paths: readonly string[]): FieldPaths {
  requireArgument(Array.isArray(paths), "The fields must be an array of paths.");
  const root = newNode();
  for (const path of paths) add(root, path);
  return root;
}

/** Copies a record, and finds its fields in the copy. */
export function findFields(record: unknown, paths: FieldPaths): CopiedRecord {
  requireArgument(isObject(record) && !Array.isArray(record), "The record must be an object.");
  const found: FoundField[] = [];
  return { copy: copyObject(record, paths, "", found), found };
}

/** The path of a key below a path; of a record itself the path is "". */
export function pathOfKey(path: string, key: string): string {
  const escaped = key.replaceAll(/[\\.[\]?]/g, "\\$&");
  return path === "" ? escaped : `${path}.${escaped}`;
}

export function pathOfElement(path: string, index: number): string {
  return `${path}[${index}]`;
}

/** `ERR_FIELD`. @param detail what follows the path, up to the full stop */
export function fieldError(path: string, detail: string, cause?: unknown): KeyfoldError {
  return new KeyfoldError(
    "ERR_FIELD",
    `The field ${JSON.stringify(path)} ${detail}.`,
    cause === undefined ? {} : { cause },
  );
}

function newNode(): Node {
  return { required: false, isField: false, keys: new Map(), each: undefined };
}

function add(root: Node, path: string): void {
  requireArgument(
    typeof path === "string" && PATH.test(path) && path.isWellFormed(),
    `A field is a path such as "email", "address.street" or "tokens[]", and ${JSON.stringify(path)} is none.`,
  );
  const required = !/(?<!\\)(?:\\\\)*\?$/.test(path);
  let node = root;
  for (const [step] of path.matchAll(STEPS)) {
    node.required ||= required;
    node = step === "[]" ? eachOf(node) : keyOf(node, step.replaceAll(/\\(.)/g, "$1"));
    requireArgument(!node.isField, `The field ${JSON.stringify(path)} is in another field, or named twice.`);
  }
  const isFree = node.keys.size === 0 && node.each === undefined;
  requireArgument(isFree, `The field ${JSON.stringify(path)} has another field in it.`);
  node.required = required;
  node.isField = true;
}

function eachOf(node: Node): Node {
  requireArgument(node.keys.size === 0, "A field is in an array by one path and in an object by another.");
  node.each ??= newNode();
  return node.each;
}

function keyOf(node: Node, key: string): Node {
  requireArgument(node.each === undefined, "A field is in an array by one path and in an object by another.");
  const child = node.keys.get(key) ?? newNode();
  node.keys.set(key, child);
  return child;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function copyAt(value: unknown, node: Node, path: string, found: FoundField[]): unknown {
  return node.each === undefined
    ? copyObject(value, node, path, found)
    : copyArray(value, node.each, path, found);
}

/** Own properties alone are read, and defined rather than assigned: no key of a path reaches a prototype. */
function copyObject(source: unknown, node: Node, path: string, found: FoundField[]): object {
  if (Array.isArray(source)) throw fieldError(path, "is an array: [] leads to its elements");
  if (!isObject(source) || ArrayBuffer.isView(source)) throw fieldError(path, "is not an object");
  const copy: object = { __proto__: Object.getPrototypeOf(source), ...source };
  for (const [key, child] of node.keys) {
    const value: unknown = Object.getOwnPropertyDescriptor(copy, key)?.value;
    const replace = (value: unknown) =>
      Object.defineProperty(copy, key, { value, writable: true, enumerable: true, configurable: true });
    copyField(value, child, { path: pathOfKey(path, key), value, replace }, found);
  }
  return copy;
}

function copyArray(source: unknown, each: Node, path: string, found: FoundField[]): unknown[] {
  if (!Array.isArray(source)) throw fieldError(path, "is not an array");
  const copy: unknown[] = Array.prototype.slice.call(source);
  for (const [index, value] of copy.entries()) {
    const replace = (value: unknown) => {
      copy[index] = value;
    };
    copyField(value, each, { path: pathOfElement(path, index), value, replace }, found);
  }
  return copy;
}

function copyField(value: unknown, node: Node, field: FoundField, found: FoundField[]): void {
  if (value === undefined || (value === null && !node.isField)) {
    if (node.required)
      throw fieldError(field.path, "is not there; where it may be missing, its path ends in ?");
  } else if (node.isField) found.push(field);
  else field.replace(copyAt(value, node, field.path, found));
}
