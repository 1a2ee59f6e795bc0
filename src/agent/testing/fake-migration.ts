import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { EventLog } from "../../migration/event-log.ts";
import type { MigrationEvent } from "../../migration/events.ts";
import type { MigrationReport } from "../../migration/report.ts";
import { notInDoubt, type OwnerName } from "../../migration/source/operator-word.ts";
import { REPORT_FILE } from "../../migration/source/report.ts";
import type { OutgoingFactory, OutgoingMigration } from "../ports.ts";
import type { FakeQemu } from "./fake-qemu.ts";

type Request = Parameters<OutgoingFactory<FakeQemu>>[0];

/** An outgoing migration that does what the test tells it. */
export class FakeMigration implements OutgoingMigration {
  readonly request: Request;
  readonly log: EventLog;
  cancelAnswer: "cancelled" | "too-late" = "cancelled";
  readonly #end = Promise.withResolvers<MigrationReport>();

  constructor(request: Request) {
    this.request = request;
    this.log = new EventLog(request.folder, request.migrationId);
    this.log.phase("preflight", undefined);
  }

  onEvent(listener: (event: MigrationEvent) => void): () => void {
    return this.log.onEvent(listener);
  }

  run(): Promise<MigrationReport> {
    return this.#end.promise;
  }

  async cancel(): Promise<"cancelled" | "too-late"> {
    if (this.cancelAnswer === "cancelled") this.finish("cancelled");
    return this.cancelAnswer;
  }

  decide(owner: OwnerName): void {
    if (this.cancelAnswer === "cancelled") throw notInDoubt("the migration goes on");
    this.finish(owner === "there" ? "completed" : "failed");
  }

  stopAsking(): void {
    if (this.cancelAnswer === "too-late") this.finish("in-doubt");
  }

  progress(owedPages: number): void {
    this.log.append({
      type: "progress",
      phase: "live",
      owedPages,
      totalPages: 1000,
      sentPages: 1000 - owedPages,
      bytesOnWire: (1000 - owedPages) * 4096,
      wireBytesPerSecond: 125e6,
      pagesPerSecond: 30_000,
      dirtyPagesPerSecond: 100,
      rounds: 2,
      faultedPages: 0,
      leftMs: 1500,
      leftReason: "the guest dirties less than the link carries",
    });
  }

  finish(outcome: MigrationReport["outcome"]): void {
    if (outcome === "completed") this.request.machine.end();
    this.log.phase(outcome === "in-doubt" ? "paused" : outcome, undefined);
    const report = reportOf(this.request, outcome);
    writeFileAtomic.sync(join(this.request.folder, REPORT_FILE), JSON.stringify(report));
    this.log.finish(report);
    this.#end.resolve(report);
  }
}

function reportOf(request: Request, outcome: MigrationReport["outcome"]): MigrationReport {
  const failed = outcome === "failed" || outcome === "in-doubt";
  return {
    migrationId: request.migrationId,
    vm: request.machine.description.name,
    outcome,
    strategy: request.settings.strategy,
    source: "alpha",
    destination: request.destination.name,
    startedAt: "2026-01-01T00:00:00.000Z",
    totalMs: 2000,
    setupMs: 10,
    liveMs: 1900,
    downtimeMs: outcome === "completed" ? 20 : null,
    downtime: null,
    bytesOnWire: 4_096_000,
    pages: { total: 1000, sent: 1000, resent: 3, differences: 2, zero: 17, free: 0, faulted: 0 },
    freePages: null,
    postcopy: null,
    opaque: null,
    rounds: 2,
    sourceEnded: outcome === "completed",
    agents: { sourceCpuSeconds: 1, destinationCpuSeconds: 1 },
    settings: request.settings,
    versions: { godwit: "0.1.0", sourceQemu: "10.0.2", destinationQemu: "10.0.2", node: process.version },
    error: failed
      ? {
          code: "GODWIT_LINK_LOST",
          message: "the link was cut",
          side: "source",
          phase: "live",
          vmState: "running at the source",
          advice: "try again",
        }
      : null,
  };
}
