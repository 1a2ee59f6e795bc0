import { z } from "zod";
import { badDescription, parseJson } from "./description-json.ts";
import { streamError } from "./errors.ts";
import { DEFAULT_LIMITS } from "./limits.ts";

/**
 * QEMU's JSON description of its device sections ("vmdesc", QEMU: `docs/devel/migration/main.rst`), in the order
 * in which they were written. It is the only thing that tells how long a device section is.
 */
export interface VmDescription {
  readonly page_size: number;
  readonly devices: readonly DeviceDescription[];
}

/** One device section. Devices of the old kind without fields of their own have one field `data`. */
export interface DeviceDescription {
  readonly name: string;
  readonly instance_id: number;
  readonly vmsd_name?: string | undefined;
  readonly version?: number | undefined;
  readonly fields?: readonly FieldDescription[] | undefined;
  readonly subsections?: readonly StructDescription[] | undefined;
}

/** The fields of a structure, of a device or of a subsection. */
export interface StructDescription {
  readonly vmsd_name: string;
  readonly version: number;
  readonly fields: readonly FieldDescription[];
  readonly subsections?: readonly StructDescription[] | undefined;
}

/** One field: `size` bytes, `array_len` times where that is given. `index` numbers unequal array elements. */
export interface FieldDescription {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly array_len?: number | undefined;
  readonly index?: number | undefined;
  readonly struct?: StructDescription | undefined;
}

const natural = z.int().nonnegative();

/** QEMU writes the parts of a field of type `tmp` into the field itself; here they are a structure like any other. */
const fieldSchema: z.ZodType<FieldDescription> = z
  .object({
    name: z.string(),
    type: z.string(),
    size: natural,
    array_len: natural.optional(),
    index: natural.optional(),
    get struct() {
      return structSchema.optional();
    },
    vmsd_name: z.string().optional(),
    version: natural.optional(),
    get fields() {
      return z.array(fieldSchema).optional();
    },
    get subsections() {
      return z.array(structSchema).optional();
    },
  })
  .transform(({ vmsd_name, version, fields, subsections, ...field }) =>
    field.struct === undefined && fields !== undefined
      ? {
          ...field,
          struct: { vmsd_name: vmsd_name ?? field.name, version: version ?? 0, fields, subsections },
        }
      : field,
  );

const structSchema: z.ZodType<StructDescription> = z.object({
  vmsd_name: z.string(),
  version: natural,
  fields: z.array(fieldSchema),
  get subsections() {
    return z.array(structSchema).optional();
  },
});

const descriptionSchema: z.ZodType<VmDescription> = z.object({
  page_size: natural,
  devices: z.array(
    z.object({
      name: z.string(),
      instance_id: natural,
      vmsd_name: z.string().optional(),
      version: natural.optional(),
      fields: z.array(fieldSchema).optional(),
      subsections: z.array(structSchema).optional(),
    }),
  ),
});

/**
 * Reads the JSON that follows the end of a stream.
 * @throws GodwitError `GODWIT_STREAM_BAD_DESCRIPTION`, `GODWIT_STREAM_OVERSIZED`
 */
export function parseVmDescription(
  json: Uint8Array,
  maxBytes: number = DEFAULT_LIMITS.descriptionBytes,
): VmDescription {
  if (json.length > maxBytes) {
    throw streamError(
      "GODWIT_STREAM_OVERSIZED",
      `a description of ${json.length} bytes, ${maxBytes} are allowed`,
    );
  }
  const result = descriptionSchema.safeParse(parseJson(json));
  if (!result.success) {
    const issue = result.error.issues[0];
    throw badDescription(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not as expected"}`);
  }
  return result.data;
}
