// SPDX-License-Identifier: Apache-2.0
/* Where the server is: "unix:///path", "tcp://host:port", "tls://host:port". */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";

import { credentials, type ChannelCredentials, type ChannelOptions } from "@grpc/grpc-js";

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
    /** Where it is not named but numbered; else "". */
    ip: string;
}

export function serverOr(server: string | undefined): string {
    return server ?? (process.env["HOLDFAST_SERVER"] || DEFAULT_SERVER);
}

function refuse(text: string, why: string): never {
    throw new InvalidError(`server address "${text.slice(0, 100)}": ${why}`);
}

/** "host", "host:port", "[::1]", "[::1]:port". */
function parseAuthority(text: string, authority: string): Pick<Address, "target" | "ip"> {
    const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s/@:[\]]+))(?::(\d{1,5}))?$/.exec(authority);
    const [, ipv6, host = "", port = DEFAULT_PORT] = match ?? [];
    if (match === null || Number(port) < 1 || Number(port) > 65535) {
        return refuse(text, "expected HOST:PORT, with an IPv6 address in brackets");
    }
    if (ipv6 !== undefined) {
        return { target: `ipv6:[${ipv6}]:${port}`, ip: ipv6 };
    }
    return { target: `dns:${host}:${port}`, ip: isIP(host) ? host : "" };
}

function parsePath(text: string, path: string): Pick<Address, "target" | "ip"> {
    const isShort = Buffer.byteLength(path) <= PATH_BYTES_MAX;
    if (!path.startsWith("/") || path.length < 2 || !isShort) {
        return refuse(
            text,
            `after unix:// comes an absolute path of at most ${PATH_BYTES_MAX} bytes`,
        );
    }
    return { target: `unix://${path}`, ip: "" };
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
        ...(kind === "unix" ? parsePath(text, rest) : parseAuthority(text, rest)),
    };
}

/**
 * TLS knows no IP address as the name of a server, and Node warns when it is told one: so it is told
 * another name, and the certificate is held against the address all the same.
 */
export function tlsOptions({ kind, ip }: Address): ChannelOptions {
    return kind === "tls" && ip !== "" ? { "grpc.ssl_target_name_override": "localhost" } : {};
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
            address.ip === ""
                ? {}
                : { checkServerIdentity: (_, peer) => checkServerIdentity(address.ip, peer) },
        );
    } catch (error) {
        throw error instanceof InvalidError
            ? error
            : new InvalidError(`TLS: ${(error as Error).message}`);
    }
}
