/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/scan.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/compiler.h"
#include "base/memory.h"
#include "lease/lease.h"
#include "redis/error.h"
#include "redis/redis_store.h"

#define NUMBER_SIZE       21 /* any uint64 in decimal, with its NUL */
#define CURSOR_DIGITS_MAX ((size_t)20)

struct redis_scan {
    TAILQ_ENTRY(redis_scan) link;
    struct scanner *scanner;
    enum { SCAN_WAITING, SCAN_SENT, SCAN_FAILED } state; /* FAILED: to be told so */
    redis_scan_fn *on_done;                              /* NULL: cancelled */
    void *user;
    char cursor[NUMBER_SIZE];
    char count[NUMBER_SIZE];
    size_t pattern_length;
    char pattern[];
};

TAILQ_HEAD(redis_scan_list, redis_scan);

struct scanner {
    struct link *link;
    struct loop *loop;
    const char *key_prefix;
    struct redis_scan_list scans; /* oldest first */
    size_t count;
    struct redis_scan *sent; /* NULL: none is */
    struct task flush;       /* FLUSH: send the next */
    struct task settle;      /* WORK: answer what failed */
};

/* The scan is its user's no more; the memory goes. */
static void free_scan(struct redis_scan *scan)
{
    struct scanner *scanner = scan->scanner;
    TAILQ_REMOVE(&scanner->scans, scan, link);
    scanner->count--;
    if (scanner->sent == scan) {
        scanner->sent = NULL;
        loop_post(scanner->loop, LOOP_FLUSH, &scanner->flush);
    }
    memory_free(scan);
}

static void answer(struct redis_scan *scan, const struct redis_scan_result *result, int64_t now_us)
{
    redis_scan_fn *on_done = scan->on_done;
    void *user = scan->user;
    free_scan(scan);
    if (on_done != NULL) {
        on_done(user, result, now_us);
    }
}

static void answer_problem(struct redis_scan *scan, const char *problem, int64_t now_us)
{
    struct redis_scan_result result = {.problem = problem};
    answer(scan, &result, now_us);
}

static void fail(struct redis_scan *scan)
{
    struct scanner *scanner = scan->scanner;
    scan->state = SCAN_FAILED;
    if (scanner->sent == scan) {
        scanner->sent = NULL;
    }
    loop_post(scanner->loop, LOOP_WORK, &scanner->settle);
}

static bool read_cursor(const struct redisReply *reply, uint64_t *cursor)
{
    if (reply->type != REDIS_REPLY_STRING || reply->len == 0 || reply->len > CURSOR_DIGITS_MAX) {
        return false;
    }
    *cursor = 0;
    for (size_t i = 0; i < reply->len; i++) {
        unsigned digit = (unsigned)(unsigned char)reply->str[i] - '0';
        if (digit > 9 || *cursor > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *cursor = *cursor * 10 + digit;
    }
    return true;
}

/* Keys that cannot be locks are passed over. */
static size_t read_names(const struct scanner *scanner, const struct redisReply *reply,
                         struct redis_scan_name *names)
{
    size_t prefix_length = strlen(scanner->key_prefix);
    size_t count = 0;
    for (size_t i = 0; i < reply->elements; i++) {
        const struct redisReply *key = reply->element[i];
        if (key->type == REDIS_REPLY_STRING && key->len > prefix_length &&
            key->len - prefix_length <= LEASE_KEY_MAX &&
            memcmp(key->str, scanner->key_prefix, prefix_length) == 0) {
            names[count].text = key->str + prefix_length;
            names[count].length = key->len - prefix_length;
            count++;
        }
    }
    return count;
}

static void on_reply(void *user, const struct redisReply *reply, int64_t now_us)
{
    struct redis_scan *scan = user;
    struct redis_scan_result result = {.problem = NULL};
    if (reply->type == REDIS_REPLY_ERROR) {
        char word[REDIS_ERROR_WORD_SIZE];
        redis_error_word(reply->str, word);
        answer_problem(scan, redis_error_explain(word), now_us);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !read_cursor(reply->element[0], &result.cursor) ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        answer_problem(scan, "the reply to SCAN makes no sense", now_us);
        return;
    }
    size_t room = reply->element[1]->elements + 1;
    struct redis_scan_name *names = memory_alloc(room * sizeof(*names));
    result.names = names;
    result.count = read_names(scan->scanner, reply->element[1], names);
    answer(scan, &result, now_us);
    memory_free(names);
}

static bool send_scan(struct scanner *scanner, struct redis_scan *scan)
{
    const char *const arguments[] = {"SCAN",        scan->cursor, "MATCH",
                                     scan->pattern, "COUNT",      scan->count};
    const size_t lengths[] = {
        strlen("SCAN"),       strlen(scan->cursor), strlen("MATCH"),
        scan->pattern_length, strlen("COUNT"),      strlen(scan->count),
    };
    struct conn_command command = {arguments, lengths, COUNT_OF(arguments), on_reply, scan};
    return link_send(scanner->link, &command, loop_update_now_us(scanner->loop));
}

static void run_flush(struct task *task)
{
    struct scanner *scanner = CONTAINER_OF(task, struct scanner, flush);
    struct redis_scan *scan = NULL;
    TAILQ_FOREACH (scan, &scanner->scans, link) {
        if (scanner->sent != NULL) {
            return;
        }
        if (scan->state != SCAN_WAITING) {
            continue;
        }
        if (!send_scan(scanner, scan)) {
            fail(scan);
            continue;
        }
        scan->state = SCAN_SENT;
        scanner->sent = scan;
        link_flush(scanner->link);
    }
}

/* Those that fail meanwhile are told in the next turn. */
static void run_settle(struct task *task)
{
    struct scanner *scanner = CONTAINER_OF(task, struct scanner, settle);
    int64_t now_us = loop_now_us(scanner->loop);
    struct redis_scan *scan = TAILQ_FIRST(&scanner->scans);
    while (scan != NULL) {
        if (scan->state == SCAN_FAILED) {
            answer_problem(scan, link_problem(scanner->link), now_us);
            scan = TAILQ_FIRST(&scanner->scans); /* the user may have cancelled others */
        } else {
            scan = TAILQ_NEXT(scan, link);
        }
    }
}

/* Adds the text with what SCAN's patterns take for more than itself escaped. */
static void add_escaped(struct redis_scan *scan, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\0' && strchr("\\*?[]", text[i]) != NULL) {
            scan->pattern[scan->pattern_length++] = '\\';
        }
        scan->pattern[scan->pattern_length++] = text[i];
    }
}

struct redis_scan *redis_scan_start(struct redis_store *store, const char *prefix,
                                    size_t prefix_length, uint64_t cursor, size_t count,
                                    redis_scan_fn *on_done, void *user)
{
    struct scanner *scanner = redis_store_scanner(store);
    CHECK(prefix_length <= LEASE_KEY_MAX);
    CHECK(count >= 1 && count <= REDIS_SCAN_COUNT_MAX);
    if (scanner->count == REDIS_SCANS_MAX) {
        return NULL;
    }
    size_t key_prefix_length = strlen(scanner->key_prefix);
    size_t room = 2 * (key_prefix_length + prefix_length) + 1;
    struct redis_scan *scan = memory_alloc(sizeof(*scan) + room);
    scan->scanner = scanner;
    scan->state = SCAN_WAITING;
    scan->on_done = on_done;
    scan->user = user;
    snprintf(scan->cursor, sizeof(scan->cursor), "%" PRIu64, cursor);
    snprintf(scan->count, sizeof(scan->count), "%zu", count);
    add_escaped(scan, scanner->key_prefix, key_prefix_length);
    add_escaped(scan, prefix, prefix_length);
    scan->pattern[scan->pattern_length++] = '*';
    TAILQ_INSERT_TAIL(&scanner->scans, scan, link);
    scanner->count++;
    loop_post(scanner->loop, LOOP_FLUSH, &scanner->flush);
    return scan;
}

void redis_scan_cancel(struct redis_scan *scan)
{
    if (scan->state == SCAN_SENT) {
        scan->on_done = NULL; /* its reply still needs the memory */
    } else {
        free_scan(scan);
    }
}

struct scanner *scanner_create(struct link *link, const char *key_prefix, struct loop *loop)
{
    struct scanner *scanner = memory_alloc(sizeof(*scanner));
    scanner->link = link;
    scanner->key_prefix = key_prefix;
    scanner->loop = loop;
    TAILQ_INIT(&scanner->scans);
    task_init(&scanner->flush, run_flush);
    task_init(&scanner->settle, run_settle);
    return scanner;
}

void scanner_destroy(struct scanner *scanner)
{
    while (!TAILQ_EMPTY(&scanner->scans)) {
        free_scan(TAILQ_FIRST(&scanner->scans));
    }
    loop_unpost(scanner->loop, &scanner->flush);
    loop_unpost(scanner->loop, &scanner->settle);
    memory_free(scanner);
}

void scanner_down(struct scanner *scanner)
{
    if (scanner->sent != NULL) {
        fail(scanner->sent);
        loop_post(scanner->loop, LOOP_FLUSH, &scanner->flush);
    }
}
