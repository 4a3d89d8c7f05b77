/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/options_internal.h"

/* One flag of the command line. */
struct flag {
    const struct option *row;
    const char *value;
};

/* A walk along the command line. */
struct arguments {
    const struct option *table;
    int count;
    char *const *values;
    int next;
};

static bool is_config(const struct option *row)
{
    return strcmp(row->name, OPTIONS_CONFIG_ROW) == 0;
}

/* The row that "no-NAME" switches off. */
static const struct option *find_negated(const struct option *table, const char *name,
                                         size_t length)
{
    if (length <= 3 || strncmp(name, "no-", 3) != 0) {
        return NULL;
    }
    const struct option *row = options_find(table, name + 3, length - 3);
    return row != NULL && row->kind == OPTION_BOOLEAN ? row : NULL;
}

/* `flag` starts with "--" and ends after `length` bytes. */
static bool fail_unknown(const struct option *table, const char *flag, size_t length,
                         struct options_error *error)
{
    char *text = memory_copy(flag, length);
    options_error_add(error, "unknown flag ");
    options_error_quote(error, text);
    options_error_suggest(error, table, "--", text + 2);
    memory_free(text);
    return false;
}

/* The value behind the flag, which is the next argument when it has no '='. */
static bool take_value(struct arguments *arguments, struct flag *flag, struct options_error *error)
{
    if (flag->row->kind == OPTION_BOOLEAN) {
        flag->value = "true";
        return true;
    }
    bool has_next = arguments->next < arguments->count;
    if (!has_next || strncmp(arguments->values[arguments->next], "--", 2) == 0) {
        options_error_add(error, "--%s needs a value: --%s %s", flag->row->name, flag->row->name,
                          flag->row->argument);
        return false;
    }
    flag->value = arguments->values[arguments->next];
    arguments->next++;
    return true;
}

/* Reads the next flag. */
static bool take_flag(struct arguments *arguments, struct flag *flag, struct options_error *error)
{
    const char *argument = arguments->values[arguments->next];
    arguments->next++;
    if (strncmp(argument, "--", 2) != 0) {
        options_error_add(error, "unexpected argument ");
        options_error_quote(error, argument);
        options_error_add(error, "; flags are written --name VALUE or --name=VALUE");
        return false;
    }
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    *flag = (struct flag){.row = options_find(arguments->table, name, length), .value = value};
    if (flag->row != NULL) {
        return value != NULL || take_value(arguments, flag, error);
    }
    flag->row = find_negated(arguments->table, name, length);
    if (flag->row == NULL) {
        return fail_unknown(arguments->table, argument, length + 2, error);
    }
    if (value != NULL) {
        options_error_add(error, "--no-%s takes no value", flag->row->name);
        return false;
    }
    flag->value = "false";
    return true;
}

/* A list's first flag replaces what the layers below gave; the next ones add to it. */
static bool add_flag_to_list(struct options_reading *reading, const struct flag *flag,
                             bool is_first)
{
    if (*flag->value == '\0') {
        options_error_add(&reading->error, "an item must not be empty");
        return false;
    }
    if (is_first) {
        options_clear(flag->row, reading->values);
    }
    options_list_add(flag->row, reading->values, flag->value);
    options_reading_done(reading, flag->row, OPTION_FLAG);
    return true;
}

static bool apply_flag(struct options_reading *reading, const struct flag *flag, bool is_first)
{
    options_error_add(&reading->error, "--%s: ", flag->row->name);
    if (flag->row->kind == OPTION_LIST) {
        return add_flag_to_list(reading, flag, is_first);
    }
    return options_reading_set(reading, flag->row, flag->value, OPTION_FLAG);
}

/* Applies the flags; with `only_config`, that of the configuration file alone. */
static bool read_flags(struct options_reading *reading, int argc, char *const *argv,
                       bool only_config)
{
    struct arguments arguments = {
        .table = reading->table, .count = argc, .values = argv, .next = 1};
    bool is_given[OPTIONS_MAX] = {false};
    while (arguments.next < argc) {
        struct flag flag;
        if (!take_flag(&arguments, &flag, &reading->error)) {
            return false;
        }
        size_t index = (size_t)(flag.row - reading->table);
        if (is_config(flag.row) != only_config) {
            continue;
        }
        if (!apply_flag(reading, &flag, !is_given[index])) {
            return false;
        }
        is_given[index] = true;
    }
    return true;
}

/* The variable's value; NULL when it is absent or empty. */
static const char *find_variable(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    for (char *const *entry = environment; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
            const char *value = *entry + length + 1;
            return *value == '\0' ? NULL : value;
        }
    }
    return NULL;
}

static bool read_environment(struct options_reading *reading, char *const *environment,
                             bool only_config)
{
    for (const struct option *row = reading->table; row->name != NULL; row++) {
        char name[OPTIONS_ENVIRONMENT_SIZE];
        options_environment_name(row, name);
        const char *value = find_variable(environment, name);
        if (value == NULL || is_config(row) != only_config) {
            continue;
        }
        options_error_add(&reading->error, "environment variable %s: ", name);
        if (!options_reading_set(reading, row, value, OPTION_ENVIRONMENT)) {
            return false;
        }
    }
    return true;
}

/* The file that the row "config" names; NULL when it names none. */
static const char *file_of(const struct option *table, const void *values)
{
    const struct option *config =
        options_find(table, OPTIONS_CONFIG_ROW, strlen(OPTIONS_CONFIG_ROW));
    return config == NULL ? NULL
                          : *(char *const *)(const void *)((const char *)values + config->offset);
}

static bool read_file(struct options_reading *reading)
{
    const char *path = file_of(reading->table, reading->values);
    return path == NULL || options_read_file(reading, path);
}

size_t options_begin_error(const struct option *table, const void *values, const struct option *row,
                           const struct option_origin *origin, char error[OPTIONS_ERROR_SIZE])
{
    struct options_error sentence;
    char variable[OPTIONS_ENVIRONMENT_SIZE];
    options_error_init(&sentence, error);
    switch (origin->layer) {
    case OPTION_FILE:
        options_error_add(&sentence, "%s:%zu: %s: ", file_of(table, values), origin->line,
                          row->name);
        break;
    case OPTION_ENVIRONMENT:
        options_environment_name(row, variable);
        options_error_add(&sentence, "environment variable %s: ", variable);
        break;
    case OPTION_FLAG:
        options_error_add(&sentence, "--%s: ", row->name);
        break;
    case OPTION_DEFAULT:
        options_error_add(&sentence, "%s: ", row->name);
        break;
    }
    return sentence.used;
}

static void reset_origins(struct options_reading *reading)
{
    size_t count = 0;
    for (const struct option *row = reading->table; row->name != NULL; row++) {
        options_reading_done(reading, row, OPTION_DEFAULT);
        count++;
    }
    CHECK(count <= OPTIONS_MAX);
}

bool options_reading_set(struct options_reading *reading, const struct option *row,
                         const char *text, enum option_layer layer)
{
    if (!options_set(row, reading->values, text, &reading->error)) {
        return false;
    }
    options_reading_done(reading, row, layer);
    return true;
}

void options_reading_done(struct options_reading *reading, const struct option *row,
                          enum option_layer layer)
{
    options_error_clear(&reading->error);
    if (reading->origins != NULL) {
        reading->origins[row - reading->table] =
            (struct option_origin){.layer = layer, .line = reading->line};
    }
}

bool options_read(const struct option *table, void *values, int argc, char *const *argv,
                  char *const *environment, struct option_origin *origins,
                  char error[OPTIONS_ERROR_SIZE])
{
    struct options_reading reading = {.table = table, .values = values, .origins = origins};
    options_error_init(&reading.error, error);
    options_set_defaults(table, values);
    reset_origins(&reading);
    return read_environment(&reading, environment, true) &&
           read_flags(&reading, argc, argv, true) && read_file(&reading) &&
           read_environment(&reading, environment, false) &&
           read_flags(&reading, argc, argv, false);
}
