import type { LabSettingsText } from "../lab-settings.ts";

/** Who moves the guest and how: one line of a figure. */
export interface Contender {
  readonly id: string;
  /** As it stands in legends and tables. */
  readonly label: string;
  /** Stock QEMU's lines are grey, in the background of ours. */
  readonly kind: "stock" | "godwit";
  readonly settings: LabSettingsText;
  readonly colour: string;
  /** SVG dash pattern; lines that share a colour differ in it. */
  readonly dash: readonly number[];
  /** Vega's name of the mark. */
  readonly shape: string;
}

function stock(
  id: string,
  label: string,
  settings: LabSettingsText,
  look: Pick<Contender, "dash" | "shape"> & { colour?: string },
): Contender {
  return { id, label, kind: "stock", settings: { engine: "qemu", ...settings }, colour: "#8a8a8a", ...look };
}

function godwit(id: string, strategy: LabSettingsText["strategy"], colour: string, shape: string): Contender {
  const settings: LabSettingsText = { engine: "godwit", strategy };
  return { id, label: `Godwit ${strategy}`, kind: "godwit", settings, colour, dash: [1, 0], shape };
}

const multifdChannels = "multifd-channels=2";

/** Every contender by its id. Colours are of Okabe and Ito's set, which the colour-blind can tell apart. */
export const contenders = {
  qemu: stock("qemu", "stock pre-copy", { strategy: "pre-copy" }, { dash: [1, 0], shape: "circle" }),
  "qemu-stop-and-copy": stock(
    "qemu-stop-and-copy",
    "stock stop-and-copy",
    { strategy: "stop-and-copy" },
    { dash: [2, 3], shape: "square" },
  ),
  "qemu-zstd": stock(
    "qemu-zstd",
    "stock multifd + zstd",
    { capabilities: "multifd", parameters: `multifd-compression=zstd,${multifdChannels}` },
    { dash: [7, 3], shape: "diamond", colour: "#4d4d4d" },
  ),
  "qemu-post-copy": stock(
    "qemu-post-copy",
    "stock post-copy",
    { strategy: "post-copy" },
    { dash: [7, 2, 2, 2], shape: "triangle-up" },
  ),
  "qemu-multifd": stock(
    "qemu-multifd",
    "stock multifd",
    { capabilities: "multifd", parameters: multifdChannels },
    { dash: [4, 2], shape: "triangle-down", colour: "#b0b0b0" },
  ),
  "qemu-xbzrle": stock(
    "qemu-xbzrle",
    "stock xbzrle",
    { capabilities: "xbzrle" },
    { dash: [1, 2], shape: "cross" },
  ),
  "qemu-hint": stock(
    "qemu-hint",
    "stock free-page hint",
    { freePageHint: true },
    { dash: [3, 1], shape: "triangle-left" },
  ),
  "qemu-auto-converge": stock(
    "qemu-auto-converge",
    "stock auto-converge",
    { capabilities: "auto-converge" },
    { dash: [5, 1], shape: "triangle-right" },
  ),
  "stop-and-copy": godwit("stop-and-copy", "stop-and-copy", "#d55e00", "square"),
  "pre-copy": godwit("pre-copy", "pre-copy", "#0072b2", "circle"),
  "post-copy": godwit("post-copy", "post-copy", "#009e73", "triangle-up"),
  hybrid: godwit("hybrid", "hybrid", "#cc79a7", "diamond"),
  auto: godwit("auto", "auto", "#e69f00", "triangle-down"),
} as const satisfies Readonly<Record<string, Contender>>;

/** The id of a contender. */
export type ContenderId = keyof typeof contenders;

/** What each of figures 1 to 7 shows: theirs first, so that ours is drawn over it. */
export const everyContender: readonly ContenderId[] = [
  ...(["qemu", "qemu-stop-and-copy", "qemu-zstd", "qemu-post-copy"] as const),
  ...(["stop-and-copy", "pre-copy", "post-copy", "hybrid", "auto"] as const),
];

/** Those that have a live phase or a remainder, while which the guest runs. */
export const liveContenders: readonly ContenderId[] = everyContender.filter(
  (id) => !id.endsWith("stop-and-copy"),
);

/** Stock QEMU's settings among which the judge looks for the best. */
export const stockSettings: readonly ContenderId[] = [
  ...(["qemu", "qemu-xbzrle", "qemu-multifd", "qemu-zstd", "qemu-hint"] as const),
  ...(["qemu-auto-converge", "qemu-post-copy"] as const),
];

/** Godwit's strategies that let the guest run meanwhile. */
export const godwitLive: readonly ContenderId[] = ["pre-copy", "post-copy", "hybrid", "auto"];
