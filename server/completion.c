#include "server/completion.h"

#include "server/cli.h"
#include "server/config.h"
#include "server/ping.h"

static void print_words_of(FILE *out, const struct config_option *option) {
    if (option->kind == CONFIG_BOOLEAN) {
        fputs(option->only_initial != NULL ? option->initial : "yes no", out);
        return;
    }
    for (int i = 0; option->choices[i] != NULL; i++) {
        fprintf(out, "%s%s", i > 0 ? " " : "", option->choices[i]);
    }
}

/* A branch an option whose values are known. */
static void print_values(FILE *out) {
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        if (option->kind != CONFIG_BOOLEAN && option->kind != CONFIG_ENUM) continue;
        fprintf(out, "    --%s) words=\"", option->name);
        print_words_of(out, option);
        fputs("\" ;;\n", out);
    }
    fputs("    --print) words=\"config man config-man completion\" ;;\n", out);
}

void completion_print_end(FILE *out, const char *function, const char *program) {
    fprintf(out,
            "    if [[ -n $words ]]; then\n"
            "        COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
            "    else\n"
            "        COMPREPLY=($(compgen -f -- \"$current\"))\n"
            "    fi\n"
            "}\n"
            "complete -o filenames -F %s %s\n",
            function, program);
}

void completion_print(FILE *out) {
    fputs("# bash completion for sherd; made by sherd --print completion\n"
          "_sherd() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
          "    case $before in\n",
          out);
    print_values(out);
    fputs("    esac\n"
          "    if [[ -z $words && $current == -* ]]; then\n"
          "        if [[ ${COMP_WORDS[1]} == --ping && $COMP_CWORD -gt 1 ]]; then\n"
          "            words=\"",
          out);
    for (size_t i = 0; i < ping_option_count; i++) {
        fprintf(out, "%s ", ping_options[i].name);
    }
    fputs("\"\n"
          "        else\n"
          "            words=\"--user --rename-command --include ",
          out);
    for (size_t i = 0; i < config_option_count; i++) {
        fprintf(out, "--%s ", config_options[i].name);
    }
    fputs("\"\n"
          "            if [[ $COMP_CWORD -eq 1 ]]; then words+=\"",
          out);
    for (size_t i = 0; i < cli_mode_count; i++) {
        fprintf(out, "%s ", cli_modes[i].name);
    }
    fputs("\"; fi\n"
          "        fi\n"
          "    fi\n",
          out);
    completion_print_end(out, "_sherd", "sherd");
}
