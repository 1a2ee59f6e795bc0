import type { LabResult } from "../lab-result.ts";

const seconds = (value: number | null) => (value === null ? null : value / 1000);

/** From the beginning to the end, in seconds. */
export const totalSeconds = (result: LabResult) => seconds(result.totalMs);

/** From the first page until the guest stops, in seconds. */
export const liveSeconds = (result: LabResult) => seconds(result.liveMs);

/** From STOP to RESUME, in milliseconds. */
export const downtimeMs = (result: LabResult) => result.downtimeMs;
