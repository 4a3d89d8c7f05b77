/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The direct side: what a careful client library does by itself. One script takes the lock if it is
 * free, with a fence that rises even after Redis lost its data; another compares the owner before
 * it deletes.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"

#include "base/check.h"
#include "base/random.h"

static const char acquire_script[] =
    "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('PTTL', KEYS[1]) end\n"
    "local time = redis.call('TIME')\n"
    "local now = tonumber(time[1]) * 1000000 + tonumber(time[2])\n"
    "local fence = tonumber(redis.call('GET', KEYS[2]) or '0') + 1\n"
    "if fence < now then fence = now end\n"
    "local text = string.format('%.0f', fence)\n"
    "redis.call('SET', KEYS[2], text)\n"
    "redis.call('SET', KEYS[1], ARGV[1] .. text, 'PX', ARGV[2])\n"
    "return text\n";

static const char release_script[] = "local value = redis.call('GET', KEYS[1])\n"
                                     "if value and string.sub(value, 1, #ARGV[1]) == ARGV[1] then\n"
                                     "  return redis.call('DEL', KEYS[1])\n"
                                     "end\n"
                                     "return 0\n";

static void send_words(struct bench_client *client, int count, const char **words,
                       const size_t *lengths)
{
    char *command = NULL;
    long long length = redisFormatCommandArgv(&command, count, words, lengths);
    CHECK(length > 0);
    bench_send(client, command, (size_t)length);
    redisFreeCommand(command);
}

static redisReply *parse_answer(struct bench_client *client)
{
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    CHECK(reader != NULL);
    CHECK(redisReaderFeed(reader, (const char *)client->input, client->used) == REDIS_OK);
    CHECK(redisReaderGetReply(reader, &reply) == REDIS_OK);
    redisReaderFree(reader);
    return reply;
}

/* Blocks; for the preparation only. */
static void load_script(struct bench_client *client, const char *script, char sha[BENCH_SHA_SIZE])
{
    const char *words[] = {"SCRIPT", "LOAD", script};
    const size_t lengths[] = {6, 4, strlen(script)};
    redisReply *reply = NULL;
    send_words(client, 3, words, lengths);
    while (reply == NULL) {
        ssize_t size =
            recv(client->fd, client->input + client->used, sizeof(client->input) - client->used, 0);
        CHECK(size > 0);
        client->used += (size_t)size;
        reply = parse_answer(client);
    }
    CHECK(reply->type == REDIS_REPLY_STRING);
    snprintf(sha, BENCH_SHA_SIZE, "%s", reply->str);
    freeReplyObject(reply);
    bench_consume(client, client->used);
}

static void prepare(struct bench_client *client)
{
    load_script(client, acquire_script, client->acquire_sha);
    load_script(client, release_script, client->release_sha);
}

static void send_acquire(struct bench_client *client)
{
    static const char fence_key[] = "bench:fence";
    char ttl[16];
    int ttl_length = snprintf(ttl, sizeof(ttl), "%d", BENCH_TTL_MS);
    random_fill(client->token, sizeof(client->token));
    const char *words[] = {"EVALSHA", client->acquire_sha,         "2", client->key,
                           fence_key, (const char *)client->token, ttl};
    const size_t lengths[] = {7,
                              BENCH_SHA_SIZE - 1,
                              1,
                              strlen(client->key),
                              sizeof(fence_key) - 1,
                              sizeof(client->token),
                              (size_t)ttl_length};
    send_words(client, 7, words, lengths);
}

static void send_release(struct bench_client *client)
{
    const char *words[] = {"EVALSHA", client->release_sha, "1", client->key,
                           (const char *)client->token};
    const size_t lengths[] = {7, BENCH_SHA_SIZE - 1, 1, strlen(client->key), sizeof(client->token)};
    send_words(client, 5, words, lengths);
}

static enum bench_answer take_answer(struct bench_client *client, bool is_release)
{
    redisReply *reply = client->used > 0 ? parse_answer(client) : NULL;
    if (reply == NULL) {
        return BENCH_INCOMPLETE;
    }
    const bool is_busy = !is_release && reply->type == REDIS_REPLY_INTEGER;
    CHECK(is_busy || reply->type == (is_release ? REDIS_REPLY_INTEGER : REDIS_REPLY_STRING));
    CHECK(!is_release || reply->integer == 1);
    freeReplyObject(reply);
    bench_consume(client, client->used);
    return is_busy ? BENCH_BUSY : BENCH_DONE;
}

const struct bench_protocol bench_redis = {
    .prepare = prepare,
    .send_acquire = send_acquire,
    .send_release = send_release,
    .take_answer = take_answer,
};
