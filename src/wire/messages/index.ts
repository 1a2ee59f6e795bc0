import { abort } from "./abort.ts";
import { accepted } from "./accepted.ts";
import { bulkConnected } from "./bulk-connected.ts";
import { bulkOffer } from "./bulk-offer.ts";
import { commit } from "./commit.ts";
import { commitRefused } from "./commit-refused.ts";
import type { AnyMessageDefinition, MessageOf } from "./define.ts";
import { deviceState } from "./device-state.ts";
import { discards } from "./discards.ts";
import { heartbeat } from "./heartbeat.ts";
import { hello } from "./hello.ts";
import { inquire } from "./inquire.ts";
import { learnedPages } from "./learned-pages.ts";
import { offer } from "./offer.ts";
import { opaqueDevices } from "./opaque-devices.ts";
import { pagesComplete } from "./pages-complete.ts";
import { prepared } from "./prepared.ts";
import { refused } from "./refused.ts";
import { release } from "./release.ts";
import { released } from "./released.ts";
import { remainderComplete } from "./remainder-complete.ts";
import { resumeSetComplete } from "./resume-set-complete.ts";
import { running } from "./running.ts";
import { sourceStopped } from "./source-stopped.ts";
import { streamHead } from "./stream-head.ts";
import { verdict } from "./verdict.ts";

/** Every message of the control channel, in the order of its code. */
export const messageDefinitions = [
  hello,
  offer,
  accepted,
  refused,
  streamHead,
  bulkOffer,
  bulkConnected,
  sourceStopped,
  deviceState,
  pagesComplete,
  prepared,
  commit,
  running,
  commitRefused,
  release,
  released,
  abort,
  inquire,
  verdict,
  heartbeat,
  discards,
  resumeSetComplete,
  remainderComplete,
  learnedPages,
  opaqueDevices,
] as const;

/** Any message: a closed union told apart by `type`. */
export type Message = MessageOf<(typeof messageDefinitions)[number]>;

/** The name of a message. */
export type MessageType = Message["type"];

/** The message of a given name. */
export type MessageByType<Type extends MessageType> = Extract<Message, { readonly type: Type }>;

const byCode = new Map<number, AnyMessageDefinition>();
const byType = new Map<string, AnyMessageDefinition>();
for (const definition of messageDefinitions) {
  byCode.set(definition.code, definition as unknown as AnyMessageDefinition);
  byType.set(definition.type, definition as unknown as AnyMessageDefinition);
}

/** The definition with a code as read from the wire, if there is one. */
export function definitionOfCode(code: number): AnyMessageDefinition | undefined {
  return byCode.get(code);
}

/** The definition of a name, if there is one. */
export function definitionOfType(type: string): AnyMessageDefinition | undefined {
  return byType.get(type);
}
