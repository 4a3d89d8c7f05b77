// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { BusyError, Client } from "holdfast";

test("import and require give the same classes", () => {
    const required = createRequire(import.meta.url)("holdfast") as typeof import("holdfast");
    assert.equal(required.Client, Client);
    assert.equal(required.BusyError, BusyError);
});
