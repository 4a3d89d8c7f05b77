/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/script.h"

#include <openssl/evp.h>

#include "base/check.h"

/* Generated from lua/ by embed(). */
extern const unsigned char redis_batch_script[];
extern const size_t redis_batch_script_size;

#define SHA1_SIZE 20

void script_init(struct script *script)
{
    static const char digits[] = "0123456789abcdef";
    script->text = (const char *)redis_batch_script;
    script->length = redis_batch_script_size;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int is_digested = EVP_Digest(script->text, script->length, digest, &size, EVP_sha1(), NULL);
    CHECK(is_digested == 1);
    CHECK(size == SHA1_SIZE);
    for (size_t i = 0; i < SHA1_SIZE; i++) {
        script->sha[2 * i] = digits[digest[i] >> 4];
        script->sha[2 * i + 1] = digits[digest[i] & 15];
    }
    script->sha[SCRIPT_SHA_LENGTH] = '\0';
}
