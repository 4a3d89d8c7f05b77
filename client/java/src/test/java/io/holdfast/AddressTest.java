// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AddressTest {
    @ParameterizedTest
    @CsvSource({
        "tcp://localhost:1, dns:///localhost:1, false",
        "tcp://localhost, dns:///localhost:7420, false",
        "tls://holdfast.internal:65535, dns:///holdfast.internal:65535, true",
        "tcp://[::1]:9, dns:///[::1]:9, false",
        "tls://[fe80::1], dns:///[fe80::1]:7420, true",
    })
    void aNetworkAddressIsATarget(String url, String target, boolean isTls) {
        assertEquals(new Address(url, null, target, isTls), Address.parse(url, null));
    }

    @Test
    void aPathIsASocket() {
        assertEquals("/run/hold fast.sock", Address.parse("unix:///run/hold fast.sock", null).path());
    }

    @Test
    void theEnvironmentIsAskedBeforeTheDefault() {
        assertEquals("tcp://a:1", Address.parse("tcp://a:1", "tcp://b:2").url());
        assertEquals("tcp://b:2", Address.parse(null, "tcp://b:2").url());
        assertEquals(Address.DEFAULT, Address.parse(null, "").url());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "localhost:7420",
                "http://localhost",
                "tcp://",
                "tcp://:1",
                "tcp://a:0",
                "tcp://a:65536",
                "tcp://a:b",
                "tcp://::1:7420",
                "tcp://a/b",
                "tcp://user@a",
                "tcp://a:1\nb",
                "unix://relative",
                "unix:///",
                "unix:///a\0b",
            })
    void nonsenseIsRefused(String url) {
        assertThrows(InvalidRequestException.class, () -> Address.parse(url, null));
    }

    @Test
    void aPathIsAsLongAsASocketAllows() {
        String longest = "unix:///" + "a".repeat(106);
        assertEquals(longest, Address.parse(longest, null).url());
        assertThrows(InvalidRequestException.class, () -> Address.parse(longest + "a", null));
    }

    @Test
    void certificatesAreForTls() {
        HoldfastClient.Builder plain = HoldfastClient.builder().server("tcp://a:1").trust(Path.of("ca.pem"));
        assertThrows(InvalidRequestException.class, plain::build);
        HoldfastClient.Builder half =
                HoldfastClient.builder().server("tls://a:1").certificate(Path.of("me.pem"), null);
        assertThrows(InvalidRequestException.class, half::build);
        HoldfastClient.Builder missing =
                HoldfastClient.builder().server("tls://a:1").trust(Path.of("/nonexistent/ca.pem"));
        Exception error = assertThrows(InvalidRequestException.class, missing::build);
        assertTrue(error.getMessage().contains("ca.pem"), error.getMessage());
    }
}
