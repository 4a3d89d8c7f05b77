/* SPDX-License-Identifier: Apache-2.0 */
#include "redis/error.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/compiler.h"

/* Where Redis before 7 puts the error inside a script's error. */
#define PLACE "user_script:"

/* How Redis before and from 7.2 on says that its ACL forbids something to a script, without the
 * word NOPERM. */
#define SCRIPT_DENIAL     "The user executing the script"
#define SCRIPT_DENIAL_7_2 "ACL failure in script"

struct error_row {
    const char *word;
    enum redis_error_kind kind;
    const char *explanation;
};

static const struct error_row rows[] = {
    {"NOSCRIPT", REDIS_ERROR_NO_SCRIPT, "Redis has forgotten the script (NOSCRIPT)"},
    {"READONLY", REDIS_ERROR_CONNECTION, "this Redis is a replica (READONLY)"},
    {"LOADING", REDIS_ERROR_CONNECTION, "Redis is loading its data (LOADING)"},
    {"MASTERDOWN", REDIS_ERROR_CONNECTION, "this Redis is a replica without a master (MASTERDOWN)"},
    {"NOAUTH", REDIS_ERROR_CONNECTION, "Redis asks for a password (NOAUTH); set the password file"},
    {"WRONGPASS", REDIS_ERROR_CONNECTION, "Redis refuses the user name or password (WRONGPASS)"},
    {"NOPERM", REDIS_ERROR_COMMAND,
     "the ACL of the Redis user forbids a command that Holdfast needs (NOPERM); see ACL LOG"},
    {"OOM", REDIS_ERROR_COMMAND, "Redis is out of memory (OOM); raise its maxmemory"},
    {"MISCONF", REDIS_ERROR_COMMAND, "Redis cannot write to its disk and refuses writes (MISCONF)"},
    {"NOREPLICAS", REDIS_ERROR_COMMAND, "Redis has too few replicas (NOREPLICAS)"},
    {"BUSY", REDIS_ERROR_COMMAND, "Redis is busy with a long script (BUSY)"},
    {"CROSSSLOT", REDIS_ERROR_COMMAND, "Redis runs in cluster mode (CROSSSLOT)"},
    {"MOVED", REDIS_ERROR_COMMAND, "Redis runs in cluster mode (MOVED)"},
    {"CLUSTERDOWN", REDIS_ERROR_COMMAND, "Redis runs in cluster mode (CLUSTERDOWN)"},
    {"WRONGTYPE", REDIS_ERROR_COMMAND, "the key holdfast:register is not a string (WRONGTYPE)"},
    {"VERSION", REDIS_ERROR_COMMAND,
     "the key holdfast:register was written by another version of Holdfast"},
    {"EXHAUSTED", REDIS_ERROR_COMMAND,
     "the fence in holdfast:register has reached 2^53; delete the key if it was set by mistake"},
};

static const struct error_row *find(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(rows[i].word, word) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static void copy_word(const char *text, char word[REDIS_ERROR_WORD_SIZE])
{
    size_t length = 0;
    while (length < REDIS_ERROR_WORD_SIZE - 1 &&
           (isupper((unsigned char)text[length]) || text[length] == '_')) {
        word[length] = text[length];
        length++;
    }
    word[length] = '\0';
}

/* What follows "user_script:12: " or "user_script: 12: -"; NULL when nothing does. */
static const char *find_inner(const char *text)
{
    const char *at = strstr(text, PLACE);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(PLACE);
    at += strspn(at, " 0123456789");
    if (strncmp(at, ": ", 2) != 0) {
        return NULL;
    }
    at += 2;
    return *at == '-' ? at + 1 : at;
}

void redis_error_word(const char *text, char word[REDIS_ERROR_WORD_SIZE])
{
    if (strstr(text, SCRIPT_DENIAL) != NULL || strstr(text, SCRIPT_DENIAL_7_2) != NULL) {
        memcpy(word, "NOPERM", sizeof("NOPERM"));
        return;
    }
    copy_word(text, word);
    const char *inner = strcmp(word, "ERR") == 0 ? find_inner(text) : NULL;
    if (inner != NULL) {
        copy_word(inner, word);
    }
    if (word[0] == '\0') {
        memcpy(word, "ERR", sizeof("ERR"));
    }
}

enum redis_error_kind redis_error_kind(const char *word)
{
    const struct error_row *row = find(word);
    return row != NULL ? row->kind : REDIS_ERROR_COMMAND;
}

const char *redis_error_explain(const char *word)
{
    const struct error_row *row = find(word);
    return row != NULL ? row->explanation : word;
}
