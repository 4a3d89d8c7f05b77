// SPDX-License-Identifier: Apache-2.0
/* The client library of Holdfast: hold a lock for exactly as long as you are alive. */
export { Client, type Key } from "./client";
export type { ClientOptions } from "./channel";
export type { TlsFiles } from "./address";
export { DetachedLease } from "./detached";
export {
    AwayError,
    BusyError,
    CancelledError,
    DeadlockError,
    type ErrorKind,
    HoldfastError,
    InvalidError,
    LeaseLostError,
    LimitError,
    type LossReason,
    NotHeldError,
    RefusedError,
    TimeoutError,
} from "./errors";
export type { Holder, Mode } from "./holder";
export type { LeadOptions, Work } from "./leader";
export { Grant, Lease } from "./lease";
export type {
    AskOptions,
    DetachedOptions,
    HoldOptions,
    LockOptions,
    ResumeOptions,
} from "./options";
export type { LockState } from "./watch";
