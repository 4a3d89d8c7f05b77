/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/duration.h"
#include "base/memory.h"
#include "base/options_internal.h"

static const char *const true_words[] = {"true", "yes", "on", "1"};
static const char *const false_words[] = {"false", "no", "off", "0"};

static void *value_of(const struct option *row, void *values)
{
    return (char *)values + row->offset;
}

static bool is_one_of(const char *text, const char *const words[4])
{
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool set_boolean(const struct option *row, void *values, const char *text,
                        struct options_error *error)
{
    bool is_true = is_one_of(text, true_words);
    if (!is_true && !is_one_of(text, false_words)) {
        options_error_quote(error, text);
        options_error_add(error, " is neither true nor false");
        return false;
    }
    *(bool *)value_of(row, values) = is_true;
    return true;
}

/* Digits with an optional '-', within 64 bits. */
static bool parse_integer(const char *text, int64_t *number)
{
    bool is_negative = *text == '-';
    const char *at = text + (is_negative ? 1 : 0);
    int64_t sum = 0;
    if (*at == '\0') {
        return false;
    }
    for (; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        int digit = *at - '0';
        if (sum < (INT64_MIN + digit) / 10) {
            return false;
        }
        sum = sum * 10 - digit;
    }
    if (!is_negative && sum == INT64_MIN) {
        return false;
    }
    *number = is_negative ? sum : -sum;
    return true;
}

static bool set_bounded(const struct option *row, void *values, int64_t number, const char *text,
                        struct options_error *error)
{
    if (number < row->min || number > row->max) {
        char bounds[OPTIONS_BOUNDS_SIZE];
        options_bounds(row, bounds);
        options_error_quote(error, text);
        options_error_add(error, " is out of range; allowed is %s", bounds);
        return false;
    }
    *(int64_t *)value_of(row, values) = number;
    return true;
}

static bool set_integer(const struct option *row, void *values, const char *text,
                        struct options_error *error)
{
    int64_t number;
    if (!parse_integer(text, &number)) {
        char bounds[OPTIONS_BOUNDS_SIZE];
        options_bounds(row, bounds);
        options_error_quote(error, text);
        options_error_add(error, " is not a whole number; allowed is %s", bounds);
        return false;
    }
    return set_bounded(row, values, number, text, error);
}

static bool set_duration(const struct option *row, void *values, const char *text,
                         struct options_error *error)
{
    int64_t ms;
    if (!duration_parse(text, &ms)) {
        options_error_quote(error, text);
        options_error_add(error, " is not a duration; write a whole number and its unit (ms, s, m "
                                 "or h), for example 250ms or 3s");
        return false;
    }
    return set_bounded(row, values, ms, text, error);
}

static bool set_choice(const struct option *row, void *values, const char *text,
                       struct options_error *error)
{
    for (int i = 0; row->choices[i] != NULL; i++) {
        if (strcmp(text, row->choices[i]) == 0) {
            *(int *)value_of(row, values) = i;
            return true;
        }
    }
    options_error_quote(error, text);
    options_error_add(error, " is not one of");
    for (int i = 0; row->choices[i] != NULL; i++) {
        options_error_add(error, "%s %s", i == 0 ? "" : ",", row->choices[i]);
    }
    return false;
}

static void set_text(const struct option *row, void *values, const char *text)
{
    char **value = value_of(row, values);
    char *copy = memory_copy_string(text);
    memory_free(*value);
    *value = copy;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* The item that starts at `*at`, without blanks around it; moves `*at` to the ',' or NUL behind. */
static char *next_item(const char **at)
{
    const char *start = *at;
    size_t length = strcspn(start, ",");
    *at = start + length;
    while (length > 0 && is_blank(*start)) {
        start++;
        length--;
    }
    while (length > 0 && is_blank(start[length - 1])) {
        length--;
    }
    return memory_copy(start, length);
}

static void free_list(struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        memory_free(list->items[i]);
    }
    memory_free(list->items);
    *list = (struct option_list){.items = NULL};
}

static void add_item(struct option_list *list, char *item)
{
    list->items = memory_resize(list->items, (list->count + 1) * sizeof(*list->items));
    list->items[list->count] = item;
    list->count++;
}

static bool set_list(const struct option *row, void *values, const char *text,
                     struct options_error *error)
{
    struct option_list list = {.items = NULL};
    for (const char *at = text;; at++) {
        char *item = next_item(&at);
        add_item(&list, item);
        if (*item == '\0') {
            free_list(&list);
            options_error_quote(error, text);
            options_error_add(error, " has an empty item; separate items by one ','");
            return false;
        }
        if (*at == '\0') {
            break;
        }
    }
    options_clear(row, values);
    *(struct option_list *)value_of(row, values) = list;
    return true;
}

const struct option *options_find(const struct option *table, const char *name, size_t length)
{
    for (const struct option *row = table; row->name != NULL; row++) {
        if (strlen(row->name) == length && memcmp(row->name, name, length) == 0) {
            return row;
        }
    }
    return NULL;
}

void options_environment_name(const struct option *row, char name[OPTIONS_ENVIRONMENT_SIZE])
{
    int length = snprintf(name, OPTIONS_ENVIRONMENT_SIZE, "HOLDFAST_%s", row->name);
    CHECK(length < OPTIONS_ENVIRONMENT_SIZE);
    for (char *at = name; *at != '\0'; at++) {
        if (*at == '-') {
            *at = '_';
        } else {
            *at = (char)toupper((unsigned char)*at);
        }
    }
}

bool options_set(const struct option *row, void *values, const char *text,
                 struct options_error *error)
{
    switch (row->kind) {
    case OPTION_BOOLEAN:
        return set_boolean(row, values, text, error);
    case OPTION_INTEGER:
        return set_integer(row, values, text, error);
    case OPTION_DURATION:
        return set_duration(row, values, text, error);
    case OPTION_CHOICE:
        return set_choice(row, values, text, error);
    case OPTION_LIST:
        return set_list(row, values, text, error);
    case OPTION_TEXT:
        set_text(row, values, text);
        return true;
    }
    return false;
}

void options_list_add(const struct option *row, void *values, const char *item)
{
    CHECK(row->kind == OPTION_LIST);
    add_item(value_of(row, values), memory_copy_string(item));
}

void options_clear(const struct option *row, void *values)
{
    if (row->kind == OPTION_TEXT) {
        char **value = value_of(row, values);
        memory_free(*value);
        *value = NULL;
    } else if (row->kind == OPTION_LIST) {
        free_list(value_of(row, values));
    }
}

void options_bounds(const struct option *row, char text[OPTIONS_BOUNDS_SIZE])
{
    char low[DURATION_TEXT_SIZE];
    char high[DURATION_TEXT_SIZE];
    text[0] = '\0';
    if (row->kind == OPTION_DURATION) {
        duration_format(row->min, low);
        duration_format(row->max, high);
    } else if (row->kind == OPTION_INTEGER) {
        snprintf(low, sizeof(low), "%" PRId64, row->min);
        snprintf(high, sizeof(high), "%" PRId64, row->max);
    } else {
        return;
    }
    if (row->max == INT64_MAX) {
        snprintf(text, OPTIONS_BOUNDS_SIZE, "%s or more", low);
    } else {
        snprintf(text, OPTIONS_BOUNDS_SIZE, "%s to %s", low, high);
    }
}

void options_set_defaults(const struct option *table, void *values)
{
    for (const struct option *row = table; row->name != NULL; row++) {
        char text[OPTIONS_ERROR_SIZE];
        struct options_error error = {.text = text};
        options_clear(row, values);
        if (row->default_text == NULL) {
            CHECK(row->kind == OPTION_TEXT || row->kind == OPTION_LIST);
            continue;
        }
        bool is_valid = options_set(row, values, row->default_text, &error);
        CHECK(is_valid);
    }
}

void options_release(const struct option *table, void *values)
{
    for (const struct option *row = table; row->name != NULL; row++) {
        options_clear(row, values);
    }
}
