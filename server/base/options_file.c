/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "base/memory.h"
#include "base/options.h"
#include "base/options_internal.h"

#define FILE_MAX ((size_t)1 << 20)

struct file {
    struct options_reading *reading;
    const char *path;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    size_t line;        /* where it stands */
    bool is_given[OPTIONS_MAX];
};

/* The whole file with a NUL behind it, owned by the caller; NULL after reporting why not. */
static char *load(const char *path, size_t *size, struct options_error *error)
{
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        options_error_add(error, "cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    char *bytes = memory_alloc(FILE_MAX + 1);
    *size = fread(bytes, 1, FILE_MAX + 1, stream);
    if (ferror(stream) != 0) {
        options_error_add(error, "cannot read %s: %s", path, strerror(errno));
    } else if (*size > FILE_MAX) {
        options_error_add(error, "%s is larger than %zu bytes", path, FILE_MAX);
    }
    fclose(stream);
    if (error->used > 0) {
        memory_free(bytes);
        return NULL;
    }
    return bytes;
}

/* Begins an error at the current line. */
static struct options_error *error_here(struct file *file)
{
    options_error_add(&file->reading->error, "%s:%zu: ", file->path, file->line);
    return &file->reading->error;
}

static bool fail(struct file *file, const char *reason)
{
    options_error_add(error_here(file), "%s", reason);
    return false;
}

static bool fail_row(struct file *file, const struct option *row, const char *reason)
{
    options_error_add(error_here(file), "%s: %s", row->name, reason);
    return false;
}

static bool is_at(const struct file *file, yaml_event_type_t type)
{
    return file->event.type == type;
}

/* Moves to the next event. */
static bool advance(struct file *file)
{
    yaml_event_delete(&file->event);
    if (yaml_parser_parse(&file->parser, &file->event) == 0) {
        file->line = file->parser.problem_mark.line + 1;
        const char *problem = file->parser.problem;
        options_error_add(error_here(file), "not valid YAML: %s",
                          problem != NULL ? problem : "no reason given");
        return false;
    }
    file->line = file->event.start_mark.line + 1;
    return true;
}

static const char *scalar_text(const struct file *file)
{
    return (const char *)file->event.data.scalar.value;
}

/* `name:`, `name: ~` and `name: null` leave a row as it is. */
static bool is_null(const struct file *file)
{
    if (!is_at(file, YAML_SCALAR_EVENT) ||
        file->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    const char *text = scalar_text(file);
    return *text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static bool check_scalar(struct file *file, const struct option *row)
{
    if (strlen(scalar_text(file)) != file->event.data.scalar.length) {
        return fail_row(file, row, "the text contains a NUL byte");
    }
    return true;
}

static bool read_scalar(struct file *file, const struct option *row)
{
    if (!check_scalar(file, row)) {
        return false;
    }
    options_error_add(error_here(file), "%s: ", row->name);
    return options_reading_set(file->reading, row, scalar_text(file), OPTION_FILE);
}

static bool read_item(struct file *file, const struct option *row)
{
    if (!is_at(file, YAML_SCALAR_EVENT)) {
        return fail_row(file, row, "an item must be plain text");
    }
    if (!check_scalar(file, row)) {
        return false;
    }
    if (*scalar_text(file) == '\0') {
        return fail_row(file, row, "an item must not be empty");
    }
    options_list_add(row, file->reading->values, scalar_text(file));
    return true;
}

static bool read_list(struct file *file, const struct option *row)
{
    options_clear(row, file->reading->values);
    for (;;) {
        if (!advance(file)) {
            return false;
        }
        if (is_at(file, YAML_SEQUENCE_END_EVENT)) {
            options_reading_done(file->reading, row, OPTION_FILE);
            return true;
        }
        if (!read_item(file, row)) {
            return false;
        }
    }
}

static bool read_value(struct file *file, const struct option *row)
{
    if (!advance(file)) {
        return false;
    }
    if (is_null(file)) {
        return true;
    }
    if (is_at(file, YAML_ALIAS_EVENT)) {
        return fail_row(file, row, "aliases are not supported; write the value itself");
    }
    if (row->kind == OPTION_LIST) {
        return is_at(file, YAML_SEQUENCE_START_EVENT)
                   ? read_list(file, row)
                   : fail_row(file, row, "takes a list: [one, two]");
    }
    return is_at(file, YAML_SCALAR_EVENT) ? read_scalar(file, row)
                                          : fail_row(file, row, "takes a single value");
}

static bool fail_unknown(struct file *file)
{
    struct options_error *error = error_here(file);
    options_error_add(error, "unknown option ");
    options_error_quote(error, scalar_text(file));
    options_error_suggest(error, file->reading->table, "", scalar_text(file));
    return false;
}

/* Reads `name: value`; the current event is the name. */
static bool read_pair(struct file *file)
{
    if (!is_at(file, YAML_SCALAR_EVENT)) {
        return fail(file, "the name of an option was expected");
    }
    const struct option *table = file->reading->table;
    const struct option *row =
        options_find(table, scalar_text(file), file->event.data.scalar.length);
    if (row == NULL) {
        return fail_unknown(file);
    }
    if (strcmp(row->name, OPTIONS_CONFIG_ROW) == 0) {
        return fail_row(file, row, "cannot be given in the file itself");
    }
    if (file->is_given[row - table]) {
        return fail_row(file, row, "is given twice in this file");
    }
    file->is_given[row - table] = true;
    file->reading->line = file->line;
    return read_value(file, row);
}

static bool read_mapping(struct file *file)
{
    if (is_null(file)) {
        return true;
    }
    if (!is_at(file, YAML_MAPPING_START_EVENT)) {
        return fail(file, "lines of the form \"name: value\" were expected");
    }
    for (;;) {
        if (!advance(file)) {
            return false;
        }
        if (is_at(file, YAML_MAPPING_END_EVENT)) {
            return true;
        }
        if (!read_pair(file)) {
            return false;
        }
    }
}

/* Reads the one document, or none: a file of comments alone is fine. */
static bool read_document(struct file *file)
{
    if (!advance(file) || !advance(file)) {
        return false;
    }
    if (is_at(file, YAML_STREAM_END_EVENT)) {
        return true;
    }
    if (!advance(file) || !read_mapping(file) || !advance(file) || !advance(file)) {
        return false;
    }
    return is_at(file, YAML_STREAM_END_EVENT) ||
           fail(file, "a second document begins; only one is allowed");
}

bool options_read_file(struct options_reading *reading, const char *path)
{
    size_t size = 0;
    char *bytes = load(path, &size, &reading->error);
    if (bytes == NULL) {
        return false;
    }
    struct file file = {.reading = reading, .path = path};
    bool is_read = false;
    if (yaml_parser_initialize(&file.parser) != 0) {
        yaml_parser_set_input_string(&file.parser, (const unsigned char *)bytes, size);
        is_read = read_document(&file);
        yaml_event_delete(&file.event);
        yaml_parser_delete(&file.parser);
    } else {
        options_error_add(&reading->error, "cannot read %s: out of memory", path);
    }
    reading->line = 0;
    memory_free(bytes);
    return is_read;
}
