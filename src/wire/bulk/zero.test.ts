import assert from "node:assert/strict";
import { test } from "node:test";
import { isZeroPage } from "./zero.ts";

test("one bit anywhere makes a page not zero", () => {
  const pages = Buffer.alloc(3 * 4096 + 1, 0xff);
  pages.fill(0, 4097, 2 * 4096 + 1);
  assert.equal(isZeroPage(pages, 4097), true, "whatever its alignment and its neighbours");
  for (let byte = 0; byte < 4096; byte += 1) {
    pages[4097 + byte] = 1 << (byte & 7);
    assert.equal(isZeroPage(pages, 4097), false, `byte ${byte}`);
    pages[4097 + byte] = 0;
  }
});

test("-0 as a floating point number isn't zero", () => {
  const page = Buffer.alloc(4096);
  page.writeDoubleLE(-0, 1000);
  assert.equal(isZeroPage(page, 0), false);
});
