/* The interpreter of transcripts: one pass down the lines of a file, doing what each says.
 *
 * A line is one of
 *   nothing, or a comment  "# why"
 *   a directive            "start --requirepass secret", "protocol 3", "since 7.2", "only sherd: reason"
 *   a step                 "> SET key value" (send), or "b<" (read one more reply), on the connection named before it
 * and the lines after a step, up to the next line of those kinds, are the reply that is expected: text as
 * `wire_read_reply` shows it, after at most one word that says how to compare. No shown reply begins with a letter, so
 * such a word stands out. */
#include "tests/support/transcript.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <fnmatch.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    CONNECTIONS_MAX = 8,
    VARIABLES_MAX = 16,
    NAME_BYTES_MAX = 16,
    VALUE_BYTES_MAX = 256,
    LINE_BYTES_MAX = 8192,
    EXPECTED_BYTES_MAX = 32768,
    OPTIONS_MAX = 16,
    ELEMENTS_MAX = 1024,
    AWAIT_PAUSE_MS = 5,
    AWAIT_MS_MAX = 10000,
};

struct connection {
    char name[NAME_BYTES_MAX];
    struct wire *wire;
};

struct variable {
    char name[NAME_BYTES_MAX];
    char value[VALUE_BYTES_MAX];
};

struct transcript {
    const char *path;
    FILE *file;
    char line[LINE_BYTES_MAX]; /* the one being looked at, without its end */
    int line_number;
    bool has_line;
    struct test_server *server;
    double server_version; /* 7.0 for 7.0.15; sherd knows all that any version does */
    bool skips_next;       /* the next step is not for this server */
    struct connection connections[CONNECTIONS_MAX];
    struct variable variables[VARIABLES_MAX];
    size_t variable_count;
    int replies, differences;
};

/* One line that sends or reads, and what should come of it. */
struct step {
    int line_number;
    char connection[NAME_BYTES_MAX];
    bool sends;
    char command[LINE_BYTES_MAX];      /* variables replaced */
    char expected[EXPECTED_BYTES_MAX]; /* its lines joined; variables replaced */
};

static void complain(const struct transcript *transcript, const char *what) {
    fail_msg("%s:%d: %s: %s", transcript->path, transcript->line_number, what, transcript->line);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void next_line(struct transcript *transcript) {
    transcript->has_line =
        fgets(transcript->line, sizeof transcript->line, transcript->file) != NULL;
    if (!transcript->has_line) return;
    transcript->line_number++;
    transcript->line[strcspn(transcript->line, "\n")] = '\0';
}

/* What follows the word at the start of `line`; NULL when the line starts with something else. */
static const char *after_word(const char *line, const char *word) {
    size_t size = strlen(word);
    if (strncmp(line, word, size) != 0) return NULL;
    if (line[size] == '\0') return line + size;
    return line[size] == ' ' ? line + size + 1 : NULL;
}

/* The '>' or '<' of a step's line, or NULL. */
static const char *step_mark(const char *line) {
    const char *mark = line + strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789");
    bool sends = mark[0] == '>' && mark[1] == ' ';
    bool reads = mark[0] == '<' && mark[1] == '\0';
    return sends || reads ? mark : NULL;
}

static bool is_blank_or_comment(const char *line) {
    return line[0] == '\0' || line[0] == '#';
}

static bool is_directive(const char *line) {
    return after_word(line, "start") || after_word(line, "protocol") || after_word(line, "since") ||
           after_word(line, "only");
}

/* ---- Variables: "let name" keeps a reply, "$name" uses it ------------------------------------ */

static const struct variable *variable_find(const struct transcript *transcript, const char *name,
                                            size_t name_bytes) {
    for (size_t i = 0; i < transcript->variable_count; i++) {
        const struct variable *variable = &transcript->variables[i];
        bool is_it =
            strlen(variable->name) == name_bytes && strncmp(variable->name, name, name_bytes) == 0;
        if (is_it) return variable;
    }
    return NULL;
}

/* Keep a number without its colon, a string without its quotes. */
static void variable_set(struct transcript *transcript, const char *name, const char *reply) {
    size_t end = strlen(reply);
    if (reply[0] == '"') end--;
    assert_true(transcript->variable_count < VARIABLES_MAX);
    struct variable *variable = &transcript->variables[transcript->variable_count++];
    snprintf(variable->name, sizeof variable->name, "%s", name);
    snprintf(variable->value, sizeof variable->value, "%.*s", (int)end - 1, reply + 1);
}

static void replace_variables(const struct transcript *transcript, char *text, size_t capacity) {
    char *source = strdup(text);
    assert_non_null(source);
    size_t size = 0;
    for (const char *next = source; *next != '\0' && size + VALUE_BYTES_MAX < capacity;) {
        size_t name_bytes = *next == '$' ? strspn(next + 1, "abcdefghijklmnopqrstuvwxyz") : 0;
        const struct variable *variable = variable_find(transcript, next + 1, name_bytes);
        if (variable == NULL) {
            text[size++] = *next++;
            continue;
        }
        size += (size_t)snprintf(text + size, capacity - size, "%s", variable->value);
        next += 1 + name_bytes;
    }
    text[size] = '\0';
    free(source);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* The quote that ends the string whose opening quote is at `text`. */
static char *closing_quote(char *text) {
    for (text++; *text != '"' && *text != '\0'; text++) {
        if (*text == '\\' && text[1] != '\0') text++;
    }
    return text;
}

/* One past the element that begins at `text`: strings are skipped whole, brackets to their partner. */
static char *element_end(char *text) {
    int depth = 0;
    for (; *text != '\0'; text++) {
        if (*text == '"') text = closing_quote(text);
        if (*text == '\0') break;
        if (*text == '[' || *text == '{') depth++;
        if (*text == ']' || *text == '}') depth--;
        if (depth < 0 || (depth == 0 && *text == ',' && text[1] == ' ')) return text;
    }
    return text;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *sorted(const char *text);

/* The elements between brackets, each sorted inside, in order of their texts. */
static void write_sorted_elements(FILE *out, char *text) {
    char *elements[ELEMENTS_MAX];
    size_t count = 0;
    while (*text != '\0') {
        char *end = element_end(text);
        bool is_last = *end == '\0';
        *end = '\0';
        assert_true(count < ELEMENTS_MAX);
        elements[count++] = sorted(text);
        if (is_last) break;
        text = end + 2;
    }
    qsort(elements, count, sizeof *elements, compare_texts);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s%s", i == 0 ? "" : ", ", elements[i]);
        free(elements[i]);
    }
}

/* A shown reply with every aggregate's elements in one order; the caller frees it. */
static char *sorted(const char *text) {
    size_t prefix = strcspn(text, "[{\""), size = strlen(text);
    bool is_aggregate = text[prefix] == '[' || text[prefix] == '{';
    if (!is_aggregate) return strdup(text);
    char *copy = strdup(text), *result;
    size_t result_size;
    FILE *out = open_memstream(&result, &result_size);
    assert_true(copy != NULL && out != NULL);
    copy[size - 1] = '\0';
    fprintf(out, "%.*s", (int)prefix + 1, text);
    write_sorted_elements(out, copy + prefix + 1);
    fprintf(out, "%c", text[size - 1]);
    fclose(out);
    free(copy);
    return result;
}

static bool matches_unordered(const char *expected, const char *reply) {
    char *a = sorted(expected), *b = sorted(reply);
    bool same = strcmp(a, b) == 0;
    free(a);
    free(b);
    return same;
}

static bool is_between(const char *bounds, const char *reply) {
    char *end;
    long long low = strtoll(bounds, &end, 10), high = strtoll(end, NULL, 10);
    long long number = strtoll(reply + 1, &end, 10);
    return reply[0] == ':' && *end == '\0' && low <= number && number <= high;
}

/* Patterns are globs, but their brackets stand for themselves: replies are full of them. */
static bool is_like(const char *pattern, const char *reply) {
    char escaped[2 * EXPECTED_BYTES_MAX];
    size_t size = 0;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '[' || *pattern == '\\') escaped[size++] = '\\';
        escaped[size++] = *pattern;
    }
    escaped[size] = '\0';
    return fnmatch(escaped, reply, 0) == 0;
}

/* `reply` is NULL when the connection is closed. */
static bool is_expected(const char *expected, const char *reply) {
    const char *rest;
    if (strcmp(expected, "closed") == 0) return reply == NULL;
    if (reply == NULL) return false;
    if (strcmp(expected, "any") == 0) return true;
    if ((rest = after_word(expected, "await")) != NULL) return is_expected(rest, reply);
    if ((rest = after_word(expected, "like")) != NULL) return is_like(rest, reply);
    if ((rest = after_word(expected, "between")) != NULL) return is_between(rest, reply);
    if ((rest = after_word(expected, "unordered")) != NULL) return matches_unordered(rest, reply);
    return strcmp(expected, reply) == 0;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static struct wire *connection_wire(struct transcript *transcript, const char *name) {
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &transcript->connections[i];
        if (connection->wire == NULL) {
            snprintf(connection->name, sizeof connection->name, "%s", name);
            connection->wire = wire_connect(transcript->server);
        }
        if (strcmp(connection->name, name) == 0) return connection->wire;
    }
    complain(transcript, "too many connections");
    return NULL;
}

/* Collect the lines of the expected reply, up to the line that begins something else. */
static void read_expected(struct transcript *transcript, struct step *step) {
    size_t size = 0;
    step->expected[0] = '\0';
    for (; transcript->has_line; next_line(transcript)) {
        const char *line = transcript->line;
        bool is_continued = line[0] == ' ';
        if (is_blank_or_comment(line) || (size > 0 && !is_continued)) break;
        line += strspn(line, " ");
        bool is_joined = size == 0 || strchr("[{", step->expected[size - 1]) != NULL ||
                         strchr("]}", line[0]) != NULL;
        size += (size_t)snprintf(step->expected + size, sizeof step->expected - size, "%s%s",
                                 is_joined ? "" : " ", line);
        if (size >= sizeof step->expected) complain(transcript, "the reply is too long");
    }
    if (size == 0) complain(transcript, "no reply is expected");
}

static void read_step(struct transcript *transcript, struct step *step) {
    const char *mark = step_mark(transcript->line);
    step->line_number = transcript->line_number;
    step->sends = *mark == '>';
    snprintf(step->connection, sizeof step->connection, "%.*s", (int)(mark - transcript->line),
             transcript->line);
    snprintf(step->command, sizeof step->command, "%s", step->sends ? mark + 2 : "");
    next_line(transcript);
    read_expected(transcript, step);
    replace_variables(transcript, step->command, sizeof step->command);
    if (after_word(step->expected, "let") == NULL) {
        replace_variables(transcript, step->expected, sizeof step->expected);
    }
}

static char *ask_until_expected(struct wire *wire, const struct step *step) {
    char *reply = wire_read_reply(wire);
    for (int ms = 0; ms < AWAIT_MS_MAX && !is_expected(step->expected, reply);
         ms += AWAIT_PAUSE_MS) {
        free(reply);
        poll(NULL, 0, AWAIT_PAUSE_MS);
        wire_send_command(wire, step->command);
        reply = wire_read_reply(wire);
    }
    return reply;
}

static void report_difference(struct transcript *transcript, const struct step *step,
                              const char *reply) {
    transcript->differences++;
    print_error("%s:%d\n  sent      %s%s %s\n  expected  %s\n  got       %s\n", transcript->path,
                step->line_number, step->connection, step->sends ? ">" : "<", step->command,
                step->expected, reply == NULL ? "(closed)" : reply);
}

static void run_step(struct transcript *transcript, const struct step *step) {
    struct wire *wire = connection_wire(transcript, step->connection);
    if (step->sends) wire_send_command(wire, step->command);
    if (strcmp(step->expected, "later") == 0) return;
    bool awaits = after_word(step->expected, "await") != NULL;
    const char *variable = after_word(step->expected, "let");
    char *reply = awaits ? ask_until_expected(wire, step) : wire_read_reply(wire);
    transcript->replies++;
    if (variable != NULL && reply != NULL) {
        variable_set(transcript, variable, reply);
    } else if (!is_expected(step->expected, reply)) {
        report_difference(transcript, step, reply);
    }
    free(reply);
}

/* ---- Directives ------------------------------------------------------------------------------ */

/* "protocol 3", or "protocol 3 b" for another connection than the unnamed one. */
static void speak_protocol(struct transcript *transcript, const char *arguments) {
    char command[16];
    snprintf(command, sizeof command, "HELLO %c", arguments[0]);
    const char *name = arguments[0] != '\0' && arguments[1] == ' ' ? arguments + 2 : "";
    char *reply = wire_ask(connection_wire(transcript, name), command);
    if (reply[0] == '-') complain(transcript, reply);
    free(reply);
}

static void run_directive(struct transcript *transcript) {
    const char *line = transcript->line, *arguments;
    if ((arguments = after_word(line, "protocol")) != NULL) {
        speak_protocol(transcript, arguments);
    } else if ((arguments = after_word(line, "since")) != NULL) {
        if (transcript->server_version < atof(arguments)) transcript->skips_next = true;
    } else if ((arguments = after_word(line, "only")) != NULL) {
        bool is_ours = after_word(arguments, "sherd:") != NULL;
        if (!is_ours && !after_word(arguments, "reference:")) complain(transcript, "only whom?");
        if (is_ours == transcript->server->is_reference) transcript->skips_next = true;
    } else {
        complain(transcript, "start comes first");
    }
    next_line(transcript);
}

/* ---- Conversations --------------------------------------------------------------------------- */

static void skip_comments(struct transcript *transcript) {
    while (transcript->has_line && is_blank_or_comment(transcript->line)) {
        next_line(transcript);
    }
}

/* "start --name value ...": what the conversation needs the server to be told. */
static void start_server(struct transcript *transcript) {
    const char *options[OPTIONS_MAX + 1] = {NULL};
    const char *arguments = after_word(transcript->line, "start");
    char *text = strdup(arguments == NULL ? "" : arguments);
    assert_non_null(text);
    if (arguments != NULL) next_line(transcript);
    size_t count = 0;
    char *rest = text;
    for (char *word; count < OPTIONS_MAX && (word = strsep(&rest, " ")) != NULL;) {
        if (*word != '\0') options[count++] = word;
    }
    transcript->server = test_server_start(options);
    free(text);
}

static double server_version(struct transcript *transcript) {
    static const char label[] = "redis_version:";
    if (!transcript->server->is_reference) return 1000;
    struct wire *wire = wire_connect_unix(transcript->server);
    char *info = wire_ask(wire, "INFO server");
    const char *version = strstr(info, label);
    /* One that needs a password is asked nothing: the oldest is assumed. */
    double number = version == NULL ? 0 : atof(version + sizeof label - 1);
    free(info);
    wire_close(wire);
    return number;
}

static void converse(struct transcript *transcript) {
    struct step *step = malloc(sizeof *step);
    assert_non_null(step);
    for (; transcript->has_line; skip_comments(transcript)) {
        if (is_directive(transcript->line)) {
            run_directive(transcript);
            continue;
        }
        if (step_mark(transcript->line) == NULL) complain(transcript, "this says nothing");
        read_step(transcript, step);
        if (!transcript->skips_next) run_step(transcript, step);
        transcript->skips_next = false;
    }
    free(step);
}

void transcript_run(const char *path) {
    struct transcript transcript = {.path = path, .file = fopen(path, "r")};
    assert_non_null(transcript.file);
    next_line(&transcript);
    skip_comments(&transcript);
    start_server(&transcript);
    transcript.server_version = server_version(&transcript);
    skip_comments(&transcript);
    converse(&transcript);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        wire_close(transcript.connections[i].wire);
    }
    fclose(transcript.file);
    test_server_stop(transcript.server);
    if (transcript.differences > 0) {
        fail_msg("%d of %d replies differ", transcript.differences, transcript.replies);
    }
    assert_true(transcript.replies > 0);
}
