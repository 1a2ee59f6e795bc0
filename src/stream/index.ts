/**
 * `godwit/stream`: QEMU's migration stream (version 3, x86) as data: an incremental reader, writers for whole
 * streams and for composed post-copy streams, device state taken apart, return-path messages.
 */
export * from "./commands.ts";
export { readConfiguration, type StreamConfiguration } from "./configuration.ts";
export { cutDeviceSections } from "./cut-sections.ts";
export type { DecodedField, DecodedStruct, FieldValue } from "./device-fields.ts";
export { type PlainFields, type PlainValue, plainFields } from "./device-plain.ts";
export { type DeviceSection, decodeDeviceSection, fieldAt, splitDeviceSections } from "./device-sections.ts";
export type { StreamErrorCode } from "./errors.ts";
export { MAGIC, PAGE_BYTES, RAM_FLAG, RAM_SECTION, RECORD, VERSION } from "./format.ts";
export type { RamBlock, RamSectionKind, StreamHandler, StreamReaderOptions } from "./handler.ts";
export { DEFAULT_LIMITS, MAX_BLOCK_BYTES, MAX_BLOCKS, type StreamLimits } from "./limits.ts";
export { type PostcopyPackage, readPackage } from "./package.ts";
export { RamSectionWriter, ramSectionBytes } from "./ram-section-writer.ts";
export { StreamReader } from "./reader.ts";
export { encodeReturnMessage, RETURN_MESSAGE, type ReturnMessage } from "./return-messages.ts";
export { ReturnPathReader } from "./return-path.ts";
export { type BlockSummary, type RecordSummary, StreamSummary } from "./summary.ts";
export {
  type DeviceDescription,
  type FieldDescription,
  parseVmDescription,
  type StructDescription,
  type VmDescription,
} from "./vmdesc.ts";
export * from "./writer.ts";
