const IPV4 = 0x0800;
const TCP = 6;
const ETHERNET_BYTES = 14;
const HALF = 2 ** 31;
const WHOLE = 2 ** 32;

/**
 * Counts the TCP segments that their sender sends again, by looking at every frame it sends (IPv4, RFC 9293): a
 * segment with payload that begins before what was sent already.
 */
export class Retransmissions {
  /** The sequence number behind what was sent, by addresses and ports. */
  readonly #next = new Map<string, number>();
  segments = 0;

  take(frame: Uint8Array): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (frame.length < ETHERNET_BYTES + 40 || view.getUint16(12) !== IPV4) return;
    const headerBytes = (frame[ETHERNET_BYTES]! & 15) * 4;
    const tcp = ETHERNET_BYTES + headerBytes;
    if (frame[ETHERNET_BYTES + 9] !== TCP || frame.length < tcp + 20) return;
    const payloadBytes = view.getUint16(ETHERNET_BYTES + 2) - headerBytes - (frame[tcp + 12]! >> 4) * 4;
    if (payloadBytes <= 0) return;
    const connection = Buffer.from(frame.subarray(ETHERNET_BYTES + 12, tcp + 4)).toString("hex");
    const sequence = view.getUint32(tcp + 4);
    const next = this.#next.get(connection) ?? sequence;
    // Sequence numbers go around.
    const isOld = (sequence - next + WHOLE) % WHOLE >= HALF;
    if (isOld) this.segments += 1;
    const end = (sequence + payloadBytes) % WHOLE;
    if ((end - next + WHOLE) % WHOLE < HALF) this.#next.set(connection, end);
  }
}
