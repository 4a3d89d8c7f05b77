// SPDX-License-Identifier: Apache-2.0
/*
 * For `import`: the same classes as for `require`, so that `instanceof` works where both are used.
 */
export * from "./index.js";
