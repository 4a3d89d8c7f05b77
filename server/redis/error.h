/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis' errors. Only the first word of one is stable; the text differs between versions and
 * between Redis and Valkey.
 */
#ifndef HOLDFAST_REDIS_ERROR_H
#define HOLDFAST_REDIS_ERROR_H

#include <stddef.h>

#define REDIS_ERROR_WORD_SIZE ((size_t)32)

enum redis_error_kind {
    REDIS_ERROR_COMMAND,    /* this command was refused; the next may not be */
    REDIS_ERROR_NO_SCRIPT,  /* the script must be sent in full */
    REDIS_ERROR_CONNECTION, /* nothing will work on this connection: give it up */
};

/* Copies the first word of `text`. Redis before 7 wraps a script's error in a sentence that begins
 * with ERR; the word of the error inside is taken then. What an ACL forbids a script is NOPERM in
 * every version. */
void redis_error_word(const char *text, char word[REDIS_ERROR_WORD_SIZE]);

enum redis_error_kind redis_error_kind(const char *word);

/* A sentence for people where we know one, otherwise `word` itself. */
const char *redis_error_explain(const char *word);

#endif
