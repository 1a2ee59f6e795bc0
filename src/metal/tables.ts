import { allDevices } from "./devices/index.ts";

/** The register tables of every device in Markdown: what `docs/metal-registers.md` holds. */
export function deviceTables(): string {
  return allDevices
    .map(({ name, title, registers }) => {
      const rows = registers.map((row) => `| ${row.name} | ${row.at} | ${row.kind} | ${row.how} |`);
      const head = ["| register | where | kind | what is done |", "|---|---|---|---|"];
      return [`## ${title}`, "", `\`${name}\``, "", ...head, ...rows].join("\n");
    })
    .join("\n\n");
}

/** The same as data. */
export function deviceList(): readonly object[] {
  return allDevices.map(({ name, title, registers }) => ({ name, title, registers }));
}
