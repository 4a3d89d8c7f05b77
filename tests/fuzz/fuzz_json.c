/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects are read from pieces as they are from the whole; what becomes a message is written as
 * JSON that becomes the same message.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <kinds.pb-c.h>

#include "json_reader.h"
#include "message_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check(bool is_right)
{
    if (!is_right) {
        abort();
    }
}

/* -0.0 is what protobuf-c does not send, and NaN is not itself. */
static bool has_reals(const uint8_t *bytes, size_t length)
{
    static const char *const words[] = {"oat", "uble", "ool"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (memmem(bytes, length, words[i], strlen(words[i])) != NULL) {
            return true;
        }
    }
    return memchr(bytes, '\\', length) != NULL;
}

static uint8_t *pack(const ProtobufCMessage *message, size_t *length)
{
    uint8_t *bytes = malloc(protobuf_c_message_get_packed_size(message) + 1);
    *length = protobuf_c_message_pack(message, bytes);
    return bytes;
}

static void check_again(const ProtobufCMessage *message)
{
    char problem[MESSAGE_JSON_PROBLEM_SIZE];
    size_t length = 0;
    size_t length_again = 0;
    json_t *json = message_to_json(message, problem);
    check(json != NULL);
    ProtobufCMessage *again = message_from_json(message->descriptor, json, problem);
    check(again != NULL);
    uint8_t *bytes = pack(message, &length);
    uint8_t *bytes_again = pack(again, &length_again);
    check(length == length_again && memcmp(bytes, bytes_again, length) == 0);
    free(bytes);
    free(bytes_again);
    json_decref(json);
    protobuf_c_message_free_unpacked(again, NULL);
}

static void take(const json_t *json, bool is_exact)
{
    char problem[MESSAGE_JSON_PROBLEM_SIZE] = "";
    ProtobufCMessage *message = message_from_json(&kinds__everything__descriptor, json, problem);
    if (message == NULL) {
        check(problem[0] != '\0');
        return;
    }
    if (is_exact) {
        check_again(message);
    }
    protobuf_c_message_free_unpacked(message, NULL);
}

/* How many objects come, when the input comes in pieces of `piece` bytes; 0 is all at once. */
static size_t read_all(const uint8_t *bytes, size_t length, size_t piece, bool is_taken)
{
    struct json_reader reader = {.bytes = NULL};
    enum json_reader_result result = JSON_READER_MORE;
    char problem[JSON_READER_PROBLEM_SIZE] = "";
    size_t count = 0;
    for (size_t at = 0; at < length && result != JSON_READER_WRONG;) {
        json_t *object = NULL;
        const size_t size = piece == 0 || length - at < piece ? length - at : piece;
        json_reader_feed(&reader, (const char *)bytes + at, size);
        at += size;
        while ((result = json_reader_next(&reader, &object, problem)) == JSON_READER_OBJECT) {
            count++;
            if (is_taken) {
                take(object, !has_reals(bytes, length));
            }
            json_decref(object);
        }
        check(result != JSON_READER_WRONG || problem[0] != '\0');
    }
    json_reader_release(&reader);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const size_t count = read_all(bytes, length, 0, true);
    check(read_all(bytes, length, 1, false) == count);
    check(read_all(bytes, length, 7, false) == count);
    return 0;
}
