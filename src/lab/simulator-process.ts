import { serveHelper } from "./helper-serve.ts";
import { type CutMode, type LinkQuality, LinkSimulator, type SimulatedRoute } from "./link-simulator.ts";

interface Argument {
  readonly routes: readonly SimulatedRoute[];
  readonly quality: LinkQuality;
}

const { routes, quality }: Argument = JSON.parse(process.argv[2] ?? "{}");
const simulator = await LinkSimulator.start(routes, quality);

serveHelper(
  {
    cut: (mode: CutMode) => simulator.cut(mode),
    restore: () => simulator.restore(),
    dropConnections: () => simulator.dropConnections(),
    setLatency: (latencyMs: number) => simulator.setLatency(latencyMs),
    setRate: (bytesPerSecond: number | null) => simulator.setRate(bytesPerSecond),
    traffic: () => simulator.traffic(),
  },
  routes.map((_, index) => simulator.port(index)),
);
