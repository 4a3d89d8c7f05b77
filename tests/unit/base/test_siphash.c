/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <cmocka.h>

/* The same hash by OpenSSL. */
static uint64_t reference(const uint8_t key[SIPHASH_KEY_SIZE], const uint8_t *bytes, size_t length)
{
    unsigned int c_rounds = 1;
    unsigned int d_rounds = 3;
    size_t size = 8;
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c_rounds),
        OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d_rounds),
        OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    uint8_t out[8];
    assert_int_equal(EVP_MAC_init(context, key, SIPHASH_KEY_SIZE, parameters), 1);
    assert_int_equal(EVP_MAC_update(context, bytes, length), 1);
    assert_int_equal(EVP_MAC_final(context, out, &size, sizeof(out)), 1);
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    uint64_t hash = 0;
    for (size_t i = 8; i > 0; i--) {
        hash = (hash << 8) | out[i - 1];
    }
    return hash;
}

static void test_it_agrees_with_openssl(void **state)
{
    (void)state;
    uint8_t key[SIPHASH_KEY_SIZE];
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
    }
    for (size_t length = 0; length < 280; length++) {
        memset(key, (int)length, sizeof(key));
        key[3] = 0xf0;
        /* Odd addresses too. */
        const uint8_t *at = bytes + length % 9;
        assert_true(siphash_1_3(key, at, length) == reference(key, at, length));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_agrees_with_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
