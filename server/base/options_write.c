/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/options.h"
#include "base/options_internal.h"

#define LINE_WIDTH 88

/* Text that is broken into lines. */
struct paragraph {
    FILE *out;
    const char *indent; /* in front of every line */
    size_t width;
    size_t column; /* 0 at the start of a line */
};

static void put_word(struct paragraph *paragraph, const char *word, size_t length)
{
    if (paragraph->column > 0 && paragraph->column + 1 + length > paragraph->width) {
        fputc('\n', paragraph->out);
        paragraph->column = 0;
    }
    const char *before = paragraph->column == 0 ? paragraph->indent : " ";
    fprintf(paragraph->out, "%s%.*s", before, (int)length, word);
    paragraph->column += strlen(before) + length;
}

static void put_text(struct paragraph *paragraph, const char *text)
{
    const char *at = text + strspn(text, " ");
    while (*at != '\0') {
        size_t length = strcspn(at, " ");
        put_word(paragraph, at, length);
        at += length;
        at += strspn(at, " ");
    }
}

static void end_paragraph(struct paragraph *paragraph)
{
    if (paragraph->column > 0) {
        fputc('\n', paragraph->out);
        paragraph->column = 0;
    }
}

static bool has_default(const struct option *row)
{
    return row->default_text != NULL && *row->default_text != '\0';
}

static void write_choices(const struct option *row, const char *separator, FILE *out)
{
    for (int i = 0; row->choices[i] != NULL; i++) {
        fprintf(out, "%s%s", i == 0 ? "" : separator, row->choices[i]);
    }
}

/* "Allowed: 1s to 1h. " where the row has bounds or choices. */
static void write_allowed(const struct option *row, FILE *out)
{
    char bounds[OPTIONS_BOUNDS_SIZE];
    options_bounds(row, bounds);
    if (bounds[0] != '\0') {
        fprintf(out, "Allowed: %s. ", bounds);
    } else if (row->kind == OPTION_CHOICE) {
        fputs("Allowed: ", out);
        write_choices(row, ", ", out);
        fputs(". ", out);
    }
}

static void write_reloadable(const struct option *row, FILE *out)
{
    if (row->is_reloadable) {
        fputs("Applied on SIGHUP. ", out);
    }
}

/* What --help says behind the help text. */
static void write_help_facts(const struct option *row, FILE *out)
{
    char environment[OPTIONS_ENVIRONMENT_SIZE];
    options_environment_name(row, environment);
    if (row->kind == OPTION_LIST) {
        fputs("May be repeated. ", out);
    }
    write_allowed(row, out);
    if (has_default(row)) {
        fprintf(out, "Default: %s. ", row->default_text);
    }
    write_reloadable(row, out);
    fprintf(out, "[$%s]", environment);
}

static void write_sample_facts(const struct option *row, FILE *out)
{
    write_allowed(row, out);
    write_reloadable(row, out);
}

typedef void facts_fn(const struct option *row, FILE *out);

/* Puts what `write_facts` writes. */
static void put_facts(struct paragraph *paragraph, const struct option *row, facts_fn *write_facts)
{
    char *facts = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&facts, &size);
    CHECK(memory != NULL);
    write_facts(row, memory);
    fclose(memory);
    put_text(paragraph, facts);
    free(facts);
}

static void write_help_row(const struct option *row, FILE *out)
{
    if (row->kind == OPTION_BOOLEAN) {
        fprintf(out, "  --[no-]%s\n", row->name);
    } else {
        fprintf(out, "  --%s %s\n", row->name, row->argument);
    }
    struct paragraph paragraph = {.out = out, .indent = "        ", .width = LINE_WIDTH};
    put_text(&paragraph, row->help);
    end_paragraph(&paragraph);
    put_facts(&paragraph, row, write_help_facts);
    end_paragraph(&paragraph);
}

/* A double-quoted YAML scalar. */
static void write_quoted(const char *text, size_t length, FILE *out)
{
    fputc('"', out);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            fputc('\\', out);
        }
        fputc(text[i], out);
    }
    fputc('"', out);
}

static void write_sample_list(const char *items, FILE *out)
{
    fputc('[', out);
    for (const char *at = items; *at != '\0';) {
        at += strspn(at, " ,");
        size_t length = strcspn(at, ",");
        write_quoted(at, length, out);
        at += length;
        fputs(*at == '\0' ? "" : ", ", out);
    }
    fputc(']', out);
}

static void write_sample_value(const struct option *row, FILE *out)
{
    if (row->kind == OPTION_LIST) {
        fputc(' ', out);
        write_sample_list(row->default_text == NULL ? "" : row->default_text, out);
    } else if (row->kind == OPTION_TEXT && row->default_text != NULL) {
        fputc(' ', out);
        write_quoted(row->default_text, strlen(row->default_text), out);
    } else if (row->default_text != NULL) {
        fprintf(out, " %s", row->default_text);
    }
}

static void write_sample_row(const struct option *row, FILE *out)
{
    struct paragraph paragraph = {.out = out, .indent = "# ", .width = LINE_WIDTH};
    put_text(&paragraph, row->help);
    put_facts(&paragraph, row, write_sample_facts);
    end_paragraph(&paragraph);
    fprintf(out, "#%s:", row->name);
    write_sample_value(row, out);
    fputc('\n', out);
}

/* A cell of a Markdown table: '|' would end it. */
static void write_cell(const char *text, FILE *out)
{
    for (const char *at = text; *at != '\0'; at++) {
        fputs(*at == '|' ? "\\" : "", out);
        fputc(*at, out);
    }
}

static void write_markdown_row(const struct option *row, FILE *out)
{
    char environment[OPTIONS_ENVIRONMENT_SIZE];
    char bounds[OPTIONS_BOUNDS_SIZE];
    options_environment_name(row, environment);
    options_bounds(row, bounds);
    fprintf(out, "| `%s` | ", row->name);
    if (has_default(row)) {
        fputc('`', out);
        write_cell(row->default_text, out);
        fputc('`', out);
    }
    fputs(" | ", out);
    if (row->kind == OPTION_BOOLEAN) {
        fputs("true, false", out);
    } else if (row->kind == OPTION_CHOICE) {
        write_choices(row, ", ", out);
    } else {
        write_cell(bounds[0] != '\0' ? bounds : row->argument, out);
        fputs(row->kind == OPTION_LIST ? ", ..." : "", out);
    }
    fprintf(out, " | %s | `%s` | ", row->is_reloadable ? "yes" : "", environment);
    write_cell(row->help, out);
    fputs(" |\n", out);
}

void options_write_help(const struct option *table, FILE *out)
{
    for (const struct option *row = table; row->name != NULL; row++) {
        write_help_row(row, out);
    }
}

void options_write_sample(const struct option *table, FILE *out)
{
    const char *before = "";
    for (const struct option *row = table; row->name != NULL; row++) {
        if (strcmp(row->name, OPTIONS_CONFIG_ROW) == 0) {
            continue;
        }
        fputs(before, out);
        write_sample_row(row, out);
        before = "\n";
    }
}

void options_write_markdown(const struct option *table, FILE *out)
{
    fputs("| option | default | allowed | reloadable | environment | meaning |\n"
          "|---|---|---|---|---|---|\n",
          out);
    for (const struct option *row = table; row->name != NULL; row++) {
        write_markdown_row(row, out);
    }
}
