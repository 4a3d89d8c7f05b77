/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts that complete command lines, made of the tables that --help is made of. What only the
 * server knows, as the names of locks, is not completed.
 */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "option.h"
#include "output.h"
#include "schema.h"

static const char shells[] = " bash zsh";

static void print_word(const char *word, void *user)
{
    (void)user;
    printf(" %s", word);
}

static void print_commands(void)
{
    for (size_t i = COMMAND_NONE + 1; i < COMMAND_COUNT; i++) {
        print_word(arguments_command_name((enum command)i), NULL);
    }
}

static bool is_of(const struct option *option, enum command command)
{
    return (option->commands & OPTION_ON(command)) != 0;
}

static bool takes_file(const struct option *option)
{
    return option->argument != NULL && strcmp(option->argument, "FILE") == 0;
}

/* In the next word. */
static bool takes_text(const struct option *option)
{
    return option->argument != NULL && option->kind != OPTION_WAIT && !takes_file(option);
}

/* What may follow the command besides options. */
static void print_operands(enum command command)
{
    if (command == COMMAND_HELP) {
        print_commands();
    } else if (command == COMMAND_CALL) {
        schema_visit(print_word, NULL);
    } else if (command == COMMAND_COMPLETION) {
        fputs(shells, stdout);
    }
}

/*
 * ---- bash ----
 */

/* The shell makes words of "--ttl=3s", too: the option, "=", and the value. */
static const char bash_body[] =
    "    local word=${COMP_WORDS[COMP_CWORD]} before= command= i\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        if [[ ${COMP_WORDS[i]} == -- ]]; then\n"
    "            compopt -o default\n"
    "            return\n"
    "        elif [[ ${COMP_WORDS[i]} == = ]]; then\n"
    "            before==\n"
    "        elif [[ $before == = || \" $texts $files \" == *\" ${before:-none} \"* ]]; then\n"
    "            before=\n"
    "        else\n"
    "            before=${COMP_WORDS[i]}\n"
    "            [[ $before == -* || $command ]] || command=$before\n"
    "        fi\n"
    "    done\n"
    "    COMPREPLY=()\n"
    "    if [[ \" $files \" == *\" ${before:-none} \"* ]]; then\n"
    "        compopt -o filenames\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
    "    elif [[ $before != = && \" $texts \" != *\" ${before:-none} \"* ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"${words[${command:-none}]}\" -- \"$word\")\n"
    "    fi\n"
    "}\n"
    "complete -F _holdfast holdfast\n";

static void bash_options(bool (*is_wanted)(const struct option *option))
{
    for (size_t i = 0; i < option_count; i++) {
        const char letter = option_letter(i);
        if (is_wanted(&option_table[i])) {
            printf(" --%s", option_table[i].name);
        }
        if (is_wanted(&option_table[i]) && letter != '\0') {
            printf(" -%c", letter);
        }
    }
}

static void bash_words(enum command command)
{
    printf("        [%s]=\"", arguments_command_name(command));
    for (size_t i = 0; i < option_count; i++) {
        if (is_of(&option_table[i], command)) {
            printf(" --%s", option_table[i].name);
        }
    }
    print_operands(command);
    fputs("\"\n", stdout);
}

static void write_bash(void)
{
    fputs("# Completes the command line of holdfast: source <(holdfast completion bash)\n"
          "_holdfast() {\n"
          "    local texts=\"",
          stdout);
    bash_options(takes_text);
    fputs("\"\n    local files=\"", stdout);
    bash_options(takes_file);
    fputs("\"\n    local -A words=(\n        [none]=\" --help --version", stdout);
    print_commands();
    fputs("\"\n", stdout);
    for (size_t i = COMMAND_NONE + 1; i < COMMAND_COUNT; i++) {
        bash_words((enum command)i);
    }
    fputs("    )\n", stdout);
    fputs(bash_body, stdout);
}

/*
 * ---- zsh ----
 */

/* Inside '...[...]', where brackets, quotes and backslashes have meanings. */
static void zsh_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else if (*text == '[' || *text == ']' || *text == '\\' || *text == ':') {
            printf("\\%c", *text);
        } else {
            putchar(*text);
        }
    }
}

static void zsh_option(const char *dashes, const char *name, const struct option *option)
{
    const bool is_repeated = option->kind == OPTION_KEY || option->kind == OPTION_HEADER;
    printf("            '%s%s%s%s[", is_repeated ? "*" : "", dashes, name,
           option->kind == OPTION_WAIT ? "=-" : "");
    zsh_text(option->help);
    putchar(']');
    if (option->kind == OPTION_WAIT) {
        fputs("::DURATION:", stdout);
    } else if (option->argument != NULL) {
        printf(":%s:%s", option->argument, takes_file(option) ? "_files" : "");
    }
    fputs("' \\\n", stdout);
}

static void zsh_command(enum command command)
{
    printf("    %s)\n        _arguments \\\n", arguments_command_name(command));
    for (size_t i = 0; i < option_count; i++) {
        const char letter[2] = {option_letter(i), '\0'};
        if (!is_of(&option_table[i], command)) {
            continue;
        }
        zsh_option("--", option_table[i].name, &option_table[i]);
        if (letter[0] != '\0') {
            zsh_option("-", letter, &option_table[i]);
        }
    }
    fputs("            '1: :(", stdout);
    print_operands(command);
    fputs(")'", stdout);
    if (command == COMMAND_RUN || command == COMMAND_ELECT) {
        fputs(" '*:: :_normal'", stdout);
    }
    fputs("\n        ;;\n", stdout);
}

static void write_zsh(void)
{
    fputs("#compdef holdfast\n"
          "# Completes the command line of holdfast: source <(holdfast completion zsh), or as the\n"
          "# file _holdfast in a directory of $fpath.\n"
          "_holdfast() {\n"
          "    local state line\n"
          "    typeset -A opt_args\n"
          "    _arguments -C '1:command:(",
          stdout);
    print_commands();
    fputs(")' '*:: :->rest'\n"
          "    [[ $state == rest ]] || return\n"
          "    case $line[1] in\n",
          stdout);
    for (size_t i = COMMAND_NONE + 1; i < COMMAND_COUNT; i++) {
        zsh_command((enum command)i);
    }
    fputs("    esac\n"
          "}\n"
          "if [[ ${funcstack[1]} == _holdfast ]]; then\n"
          "    _holdfast \"$@\"\n"
          "else\n"
          "    compdef _holdfast holdfast\n"
          "fi\n",
          stdout);
}

int command_completion(const struct arguments *arguments)
{
    if (strcmp(arguments->key, "bash") == 0) {
        write_bash();
    } else if (strcmp(arguments->key, "zsh") == 0) {
        write_zsh();
    } else {
        output_error("completion: \"%.64s\" is not a shell that is known; bash and zsh are.",
                     arguments->key);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}
