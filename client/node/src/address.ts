// SPDX-License-Identifier: Apache-2.0
/* Where the server is: "unix:///path", "tcp://host:port", "tls://host:port". */
import { readFileSync } from "node:fs";

import { credentials, type ChannelCredentials } from "@grpc/grpc-js";

import { InvalidError } from "./errors";

const DEFAULT_SERVER = "tcp://127.0.0.1:7420";
const DEFAULT_PORT = "7420";
const PATH_BYTES_MAX = 107;

/** Files of TLS; PEM. Naming them for another kind of server is an error. */
export interface TlsFiles {
    /** The authorities to trust. Default: those that Node trusts. */
    caFile?: string;
    /** Our certificate, if the server asks for one, and its key. */
    certFile?: string;
    keyFile?: string;
}

export interface Address {
    kind: "unix" | "tcp" | "tls";
    /** As the user wrote it. */
    text: string;
    /** As gRPC wants it. */
    target: string;
}

export function serverOr(server: string | undefined): string {
    return server ?? (process.env["HOLDFAST_SERVER"] || DEFAULT_SERVER);
}

function refuse(text: string, why: string): never {
    throw new InvalidError(`server address "${text.slice(0, 100)}": ${why}`);
}

/** "host", "host:port", "[::1]", "[::1]:port". */
function authorityTarget(text: string, authority: string): string {
    const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s/@:[\]]+))(?::(\d{1,5}))?$/.exec(authority);
    const port = Number(match?.[3] ?? DEFAULT_PORT);
    if (match === null || port < 1 || port > 65535) {
        return refuse(text, "expected HOST:PORT, with an IPv6 address in brackets");
    }
    return match[1] !== undefined ? `ipv6:[${match[1]}]:${port}` : `dns:${match[2]}:${port}`;
}

function unixTarget(text: string, path: string): string {
    if (!path.startsWith("/") || path.length < 2 || Buffer.byteLength(path) > PATH_BYTES_MAX) {
        return refuse(
            text,
            `after unix:// comes an absolute path of at most ${PATH_BYTES_MAX} bytes`,
        );
    }
    return `unix://${path}`;
}

export function parseAddress(text: string): Address {
    const [, scheme, rest] = /^(unix|tcp|tls):\/\/(.*)$/s.exec(text) ?? [];
    if (rest === undefined) {
        return refuse(text, "it must start with unix://, tcp:// or tls://");
    }
    const kind = scheme as Address["kind"];
    return {
        kind,
        text,
        target: kind === "unix" ? unixTarget(text, rest) : authorityTarget(text, rest),
    };
}

function read(option: string, path: string | undefined): Buffer | null {
    if (path === undefined) {
        return null;
    }
    try {
        return readFileSync(path);
    } catch (error) {
        throw new InvalidError(`${option}: ${(error as Error).message}`, { cause: error });
    }
}

export function credentialsFor(address: Address, files: TlsFiles): ChannelCredentials {
    const { caFile, certFile, keyFile } = files;
    if (address.kind !== "tls") {
        if ((caFile ?? certFile ?? keyFile) !== undefined) {
            throw new InvalidError(
                `caFile, certFile and keyFile are for tls:// only, not ${address.text}`,
            );
        }
        return credentials.createInsecure();
    }
    if ((certFile === undefined) !== (keyFile === undefined)) {
        throw new InvalidError("certFile and keyFile go together");
    }
    try {
        return credentials.createSsl(
            read("caFile", caFile),
            read("keyFile", keyFile),
            read("certFile", certFile),
        );
    } catch (error) {
        throw error instanceof InvalidError
            ? error
            : new InvalidError(`TLS: ${(error as Error).message}`);
    }
}
