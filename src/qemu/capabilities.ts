import type { WaitOptions } from "../base/waiting.ts";
import type { QmpClient } from "./qmp-client.ts";

/** What the migration of one QEMU can be told, by QEMU's own names. */
export interface MigrationSupport {
  /** `postcopy-ram`, `multifd`, `late-block-activate`, `switchover-ack` … */
  readonly capabilities: ReadonlySet<string>;
  /** Those that are switched on now. A VM that arrived by post-copy still has `postcopy-ram` on. */
  readonly enabled: ReadonlySet<string>;
  /** `max-bandwidth`, `downtime-limit`, `avail-switchover-bandwidth` (QEMU 8.2 and later) … */
  readonly parameters: ReadonlySet<string>;
}

/** Asks a running QEMU which migration capabilities and parameters it has. */
export async function migrationSupport(qmp: QmpClient, options: WaitOptions = {}): Promise<MigrationSupport> {
  const [capabilities, parameters] = await Promise.all([
    qmp.execute("query-migrate-capabilities", {}, options),
    qmp.execute("query-migrate-parameters", {}, options),
  ]);
  return {
    capabilities: new Set(capabilities.map(({ capability }) => capability)),
    enabled: new Set(capabilities.filter(({ state }) => state).map(({ capability }) => capability)),
    parameters: new Set(Object.keys(parameters)),
  };
}

/**
 * Switches migration capabilities on or off in one command; those that this QEMU doesn't have are left out when
 * they are to be off, since off is what they are.
 * @throws QmpCommandError `GODWIT_QMP_COMMAND` when one that is to be on doesn't exist or contradicts another
 */
export async function setCapabilities(
  qmp: QmpClient,
  wanted: Readonly<Record<string, boolean>>,
  options: WaitOptions = {},
): Promise<void> {
  const { capabilities: known } = await migrationSupport(qmp, options);
  const capabilities = Object.entries(wanted)
    .filter(([capability, state]) => state || known.has(capability))
    .map(([capability, state]) => ({ capability, state }));
  await qmp.execute("migrate-set-capabilities", { capabilities }, options);
}
