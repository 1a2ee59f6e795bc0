import { type Command, Option } from "commander";
import { GodwitError } from "../base/errors.ts";
import { parseBytesPerSecond, parseMilliseconds } from "../base/units.ts";
import {
  compressionNames,
  contentSourceNames,
  freePagesNames,
  type MigrationSettings,
  migrationSettingsSchema,
  resumeSetFrom,
  resumeSetSources,
  strategyNames,
  workingSetNames,
} from "../migration/settings.ts";

/** The options of a migration as commander gives them. */
export interface SettingsOptions {
  readonly strategy?: string;
  readonly bandwidth?: string;
  readonly downtimeLimit?: string;
  readonly compression?: string;
  readonly contents?: string;
  readonly connections?: string;
  readonly freePages?: string;
  readonly workingSet?: string;
  readonly dropCache?: boolean;
  readonly resumeSet?: string;
  readonly bubble?: string;
}

/** Adds the options by which a user sets a migration. */
export function withSettings(command: Command): Command {
  return command
    .addOption(new Option("--strategy <name>", "how to move (default pre-copy)").choices(strategyNames))
    .option("--bandwidth <rate>", "upper bound on the wire, such as 500Mbit/s (default: none)")
    .option("--downtime-limit <time>", "how long the guest may stand still, such as 100ms (default 300ms)")
    .addOption(
      new Option("--compression <name>", "of page contents (default auto)").choices(compressionNames),
    )
    .addOption(
      new Option("--contents <source>", "where page contents come from (default auto)").choices(
        contentSourceNames,
      ),
    )
    .addOption(
      new Option(
        "--free-pages <source>",
        "where to learn the guest's free pages, which stay behind (default: the machine file's)",
      ).choices(freePagesNames),
    )
    .addOption(
      new Option(
        "--working-set <choice>",
        "whether pages that the guest works with go first (default auto)",
      ).choices(workingSetNames),
    )
    .option(
      "--resume-set <sources>",
      `what leaves before a guest resumes early: auto, none, or of ${resumeSetSources.join(",")} (default auto)`,
    )
    .option("--drop-cache", "have the guest drop clean page cache first")
    .option("--connections <count>", "bulk connections (default 2)")
    .option("--bubble <pages>", "pages that go with one that the resumed guest waits for (default: adapts)");
}

/**
 * The settings that the options say.
 * @throws GodwitError `GODWIT_USAGE`, `GODWIT_BAD_QUANTITY`
 */
export function settingsOf(options: SettingsOptions): MigrationSettings {
  const {
    strategy,
    bandwidth,
    downtimeLimit,
    compression,
    contents,
    connections,
    bubble,
    freePages,
    workingSet,
    dropCache,
    resumeSet,
  } = options;
  const settings = migrationSettingsSchema.safeParse({
    strategy,
    compression,
    contents,
    freePages,
    workingSet,
    dropCache,
    resumeSet: resumeSet === undefined ? undefined : resumeSetFrom(resumeSet),
    bandwidthBytesPerSecond: bandwidth === undefined ? undefined : parseBytesPerSecond(bandwidth),
    downtimeLimitMs: downtimeLimit === undefined ? undefined : parseMilliseconds(downtimeLimit),
    bubblePages: bubble === undefined ? undefined : Number(bubble),
    bulkConnections: connections === undefined ? undefined : Number(connections),
  });
  if (settings.success) return settings.data;
  const issue = settings.error.issues[0];
  throw new GodwitError("GODWIT_USAGE", `${issue?.path.join(".")}: ${issue?.message}`, {
    side: "local",
    advice: "see `godwit migrate --help`",
  });
}
