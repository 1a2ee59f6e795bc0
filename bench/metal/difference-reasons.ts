/** Why a field of a rebuilt device may differ: by section and field of QEMU's. */
const REASONS: readonly (readonly [section: RegExp, field: RegExp, reason: string])[] = [
  [
    /^mc146818rtc$/,
    /^(base_rtc|last_update|offset|update_timer|next_alarm_time|next_periodic_time|cmos_data)/,
    "the time: QEMU's clock follows the host's, and the destination's was set later, within a second",
  ],
  [
    /^i8254$/,
    /count_load_time|next_transition_time/,
    "when the count was loaded: at the rebuild, with what was left of it",
  ],
  [/^i8254$/, /\.(count|write_latch)$/, "what was left of a one-shot, or 1 where it was over"],
  [/^i8254$/, /latch|status|rw_state/, "the count and status that reading has latched"],
  [
    /^i8259/,
    /^irr$/,
    "edges of masked lines that nobody waits for: only the timer's is made anew, level lines ask by themselves",
  ],
  [/^i8259/, /^last_irr$/, "levels of the lines, from before they asked again"],
  [/\/rtl8139$/, /^tally_counters\./, "statistics: can't be set"],
  [/\/rtl8139$/, /^eeprom\./, "what is left of an EEPROM session that has ended: the next one begins anew"],
  [
    /\/rtl8139$/,
    /^(TCTR|TCTR_base|TimerExpire)/,
    "the chip's timer: counts from 0 again, and 8139cp doesn't use it",
  ],
  [
    /\/pcnet$/,
    /^state\.csr\.(2[6-9]|3[4-7]|4[0-5]|6[0-3])$/,
    "descriptors that the chip had looked up: it looks again when it begins",
  ],
  [/\/pcnet$/, /^state\.csr\.0$/, "causes of interrupts can't be set; a transmit demand is met at once"],
  [/\/pcnet$/, /^state\.(timer|poll_timer)$/, "when the rings are polled next: times of the machine"],
  [/\/pcnet$/, /^state\.csr\.46$/, "how far the polling interval has gone"],
  [/\/pcnet$/, /^state\.(buffer|xmit_pos)$/, "what is left in the FIFO of a frame that was sent"],
  [/\/e1000$/, /mac_reg\[(GPRC|GPTC|TORL|TORH|TOTL|TOTH|TPR|TPT)\]/, "statistics: begin anew"],
  [/\/e1000$/, /full_mac_state\.mac_reg\.4(09[6-9]|1[0-5]\d)$/, "statistics: begin anew"],
  [/\/e1000$/, /^mig_props\./, "the checksum context: Linux sends one with each frame that needs it"],
  [/\/e1000$/, /^tx\./, "what is left in the FIFO of a frame that was sent"],
  [/\/e1000$/, /^eecd_state\./, "what is left of an EEPROM session that has ended: the next one begins anew"],
  [/\/e1000$/, /^phy_reg\.(1|5|10|17)$/, "the link's: its negotiation is not begun anew"],
];

/** The reason of a difference, in words; of one that nobody knows that it is not explained. */
export function reasonFor(section: string, field: string): string {
  const known = REASONS.find(([sections, fields]) => sections.test(section) && fields.test(field));
  return known?.[2] ?? "**not explained**";
}
