// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where the server is: unix:///path, tcp://host:port or tls://host:port.
 *
 * @param path of the unix socket; null: it is none
 * @param target for gRPC, where it is none
 */
record Address(String url, String path, String target, boolean isTls) {
    static final String DEFAULT = "tcp://127.0.0.1:7420";
    static final int DEFAULT_PORT = 7420;

    /** Bytes of a unix socket's path. */
    private static final int PATH_MAX = 107;

    private static final int URL_SHOWN_MAX = 100;
    private static final Pattern URL = Pattern.compile("(unix|tcp|tls)://(.*)", Pattern.DOTALL);
    private static final Pattern AUTHORITY =
            Pattern.compile("(?:\\[([0-9A-Fa-f:.]+)\\]|([^\\]\\[:/@\\s]+))(?::([0-9]{1,5}))?");

    /** null: $HOLDFAST_SERVER, else the default. */
    static Address parse(String url) {
        return parse(url, System.getenv("HOLDFAST_SERVER"));
    }

    static Address parse(String url, String ofEnvironment) {
        String text = !isEmpty(url) ? url : !isEmpty(ofEnvironment) ? ofEnvironment : DEFAULT;
        Matcher match = URL.matcher(text);
        if (!match.matches()) {
            throw refuse(text, "it must start with unix://, tcp:// or tls://");
        }
        String rest = match.group(2);
        return match.group(1).equals("unix")
                ? local(text, rest)
                : network(text, rest, match.group(1).equals("tls"));
    }

    private static Address local(String url, String path) {
        int size = path.getBytes(StandardCharsets.UTF_8).length;
        if (size < 2 || size > PATH_MAX || !path.startsWith("/") || path.indexOf('\0') >= 0) {
            throw refuse(url, "after unix:// comes an absolute path of at most " + PATH_MAX + " bytes");
        }
        return new Address(url, path, null, false);
    }

    private static Address network(String url, String authority, boolean isTls) {
        Matcher match = AUTHORITY.matcher(authority);
        int port = 0;
        if (match.matches()) {
            port = match.group(3) == null ? DEFAULT_PORT : Integer.parseInt(match.group(3));
        }
        if (port < 1 || port > 65535) {
            throw refuse(url, "expected HOST:PORT, with an IPv6 address in brackets");
        }
        String host = match.group(1) != null ? "[" + match.group(1) + "]" : match.group(2);
        return new Address(url, null, "dns:///" + host + ":" + port, isTls);
    }

    static InvalidRequestException refuse(String url, String why) {
        String shown = url.substring(0, Math.min(url.length(), URL_SHOWN_MAX));
        return new InvalidRequestException("server address \"" + shown + "\": " + why);
    }

    private static boolean isEmpty(String text) {
        return text == null || text.isEmpty();
    }
}
