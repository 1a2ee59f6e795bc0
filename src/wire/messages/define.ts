import type { z } from "zod";

/** Which side may send a message; the channel refuses it from the other one. */
export type Direction = "both" | "source-to-destination" | "destination-to-source";

/** Whether a message has bytes behind its JSON header. */
export type PayloadRule = "none" | "required";

/** One message of the control channel: everything that the channel, the tests and the documents know about it. */
export interface MessageDefinition<Type extends string, Shape extends z.ZodObject, Rule extends PayloadRule> {
  /** The name in code, logs and documents. */
  readonly type: Type;
  /** The number on the wire; never given to another message once released. */
  readonly code: number;
  readonly direction: Direction;
  readonly payload: Rule;
  /** What it says and when it is sent, one sentence or two. */
  readonly doc: string;
  /** The one validator, for messages sent and received. */
  readonly schema: Shape;
  /** Valid headers; the compliance test runs over them. */
  readonly examples: readonly z.input<Shape>[];
}

/** A definition of any message. */
export type AnyMessageDefinition = MessageDefinition<string, z.ZodObject, PayloadRule>;

/** The value that is sent and received for a definition: `type`, the fields and, where it has one, `payload`. */
export type MessageOf<Definition> =
  Definition extends MessageDefinition<infer Type, infer Shape, infer Rule>
    ? { readonly type: Type } & (string extends keyof z.output<Shape> ? unknown : z.output<Shape>) &
        (Rule extends "required" ? { readonly payload: Uint8Array } : unknown)
    : never;

/** Defines a message, keeping its literal types. */
export function defineMessage<
  const Type extends string,
  Shape extends z.ZodObject,
  const Rule extends PayloadRule,
>(definition: MessageDefinition<Type, Shape, Rule>): MessageDefinition<Type, Shape, Rule> {
  return definition;
}
