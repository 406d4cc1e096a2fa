/** The types of a record before and after its fields are sealed. Nothing here is left at run time. */

import type { FieldValue } from "./field-values.ts";

declare const holds: unique symbol;

/** A sealed field, "kf1.…": a string that carries the type of what is in it, for the compiler alone. */
export type SealedField<V> = string & { readonly [holds]: V };

/** A record with its fields sealed: each is a {@link SealedField} of what it was. */
export type SealedFields<T, F extends string> = string extends F ? Loose<T> : SealAt<T, StepsOf<F>>;

/** A record with its fields opened: what was sealed as `T` is `T` again, and a mere string is any {@link FieldValue}. */
export type OpenedFields<T, F extends string> = string extends F ? Loose<T> : OpenAt<T, StepsOf<F>>;

/** Where the paths are not known to the compiler, neither are the values. */
type Loose<T> = { [K in keyof T]: unknown };

/** A path's steps: its keys, and `number` for each element of an array. Distributes over a union of paths. */
type StepsOf<P extends string> = P extends `${infer Q}\\?`
  ? Steps<`${Q}\\?`>
  : P extends `${infer Q}?`
    ? Steps<Q>
    : Steps<P>;

/** Reads one character after the other. */
type Steps<P extends string, Key extends string = "", Before extends readonly unknown[] = []> = P extends ""
  ? With<Before, Key>
  : P extends `\\${infer C}${infer Rest}`
    ? Steps<Rest, `${Key}${C}`, Before>
    : P extends `[]${infer Rest}`
      ? Steps<Rest, "", [...With<Before, Key>, number]>
      : P extends `.${infer Rest}`
        ? Steps<Rest, "", With<Before, Key>>
        : P extends `${infer C}${infer Rest}`
          ? Steps<Rest, `${Key}${C}`, Before>
          : never;

type With<Before extends readonly unknown[], Key extends string> = Key extends "" ? Before : [...Before, Key];

/** What is left of the paths that go through `K`. */
type Below<S, K> = S extends readonly [infer Step, ...infer Rest]
  ? K extends Step
    ? Rest
    : `${K & (string | number)}` extends Step
      ? Rest
      : never
  : never;

type SealAt<T, S> = [S] extends [never]
  ? T
  : [S] extends [readonly []]
    ? SealedField<Exclude<T, undefined>> | Extract<T, undefined>
    : T extends object
      ? { [K in keyof T]: SealAt<T[K], Below<S, T extends readonly unknown[] ? number : K>> }
      : T;

type OpenAt<T, S> = [S] extends [never]
  ? T
  : [S] extends [readonly []]
    ? Opened<T>
    : T extends object
      ? { [K in keyof T]: OpenAt<T[K], Below<S, T extends readonly unknown[] ? number : K>> }
      : T;

type Opened<T> = T extends SealedField<infer V> ? V : T extends string ? FieldValue : T;
