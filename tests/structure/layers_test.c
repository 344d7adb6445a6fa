/* Who may include whom, and the few other rules of the house that a line of source can break (style: layers, state).
 *
 * Every .c and .h file of the tree is read line by line; a line that breaks a rule is reported with file and number. The rules
 * are functions from (file, line) to a complaint, so the checker itself is tested on made-up lines, without any files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 512, LINE_BYTES_MAX = 4096 };

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool ends_with(const char *text, const char *suffix) {
    size_t size = strlen(text), suffix_size = strlen(suffix);
    return size >= suffix_size && strcmp(text + size - suffix_size, suffix) == 0;
}

static const char *skip_space(const char *text) {
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    return text;
}

/* ---- The rules ------------------------------------------------------------------------------- */

/* The files under `folder` may include what lies under one of `allowed`. The first row that fits a file counts. */
static const struct layer {
    const char *folder;
    const char *allowed[5];
} layers[] = {
    {"shards/base/", {"shards/base/"}},
    {"shards/", {"shards/"}},
    {"net/", {"net/", "shards/base/"}},
    {"server/", {"server/", "net/", "shards/"}},
};

static const struct layer *layer_of(const char *file) {
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        if (starts_with(file, layers[i].folder)) return &layers[i];
    }
    return NULL; /* tests/ and bench/ are free */
}

/* What `#include "..."` or `<...>` names goes to `name`, `close` tells which. False for any other line. */
static bool included(const char *line, char name[PATH_BYTES_MAX], char *close) {
    line = skip_space(line);
    if (*line != '#') return false;
    line = skip_space(line + 1);
    if (!starts_with(line, "include")) return false;
    line = skip_space(line + strlen("include"));
    if (*line != '"' && *line != '<') return false;
    *close = *line == '"' ? '"' : '>';
    const char *end = strchr(line + 1, *close);
    if (end == NULL) return false;
    snprintf(name, PATH_BYTES_MAX, "%.*s", (int)(end - line - 1), line + 1);
    return true;
}

static bool is_from_root(const char *name) {
    static const char *const folders[] = {"shards/", "net/", "server/", "tests/", "bench/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (starts_with(name, folders[i])) return true;
    }
    return false;
}

/* A name from the root stays; any other starts at the including file's folder: "bytes.h" in shards/base/hash.c is
 * shards/base/bytes.h, "base/bytes.h" in shards/table.c too. */
static void resolve(const char *file, const char *name, char path[PATH_BYTES_MAX]) {
    const char *slash = strrchr(file, '/');
    int folder_size = is_from_root(name) || slash == NULL ? 0 : (int)(slash - file + 1);
    snprintf(path, PATH_BYTES_MAX, "%.*s%s", folder_size, file, name);
}

static const char *include_complaint(const char *file, const char *line) {
    char name[PATH_BYTES_MAX], path[PATH_BYTES_MAX], close;
    const struct layer *layer = layer_of(file);
    if (layer == NULL || !included(line, name, &close)) return NULL;
    if (close == '>') {
        if (strcmp(name, "liburing.h") == 0 && strcmp(file, "net/uring.h") != 0)
            return "only net/uring.h knows liburing";
        bool is_tls = strcmp(name, "openssl/ssl.h") == 0 || strcmp(name, "openssl/bio.h") == 0;
        return is_tls && !starts_with(file, "net/tls") ? "only net/tls*.c know OpenSSL's TLS"
                                                       : NULL;
    }
    resolve(file, name, path);
    if (strstr(path, "..") != NULL) return "write the path from the root";
    for (size_t i = 0; i < sizeof layer->allowed / sizeof *layer->allowed && layer->allowed[i];
         i++) {
        if (starts_with(path, layer->allowed[i])) return NULL;
    }
    return "this layer may not include that one";
}

/* Is `word` called in the line: whole, and followed by a parenthesis? */
static bool calls(const char *line, const char *word) {
    for (const char *at = strstr(line, word); at != NULL; at = strstr(at + 1, word)) {
        bool is_whole = at == line || !(isalnum((unsigned char)at[-1]) || at[-1] == '_' ||
                                        at[-1] == '.' || at[-1] == '>');
        if (is_whole && *skip_space(at + strlen(word)) == '(') return true;
    }
    return false;
}

static const char *clock_complaint(const char *file, const char *line) {
    static const char *const readers[] = {"clock_gettime", "gettimeofday", "time"};
    /* The lock measures its own waits; it says why in its essay. */
    bool may_read = layer_of(file) == NULL || strcmp(file, "server/clock.c") == 0 ||
                    strcmp(file, "shards/base/rwlock.c") == 0;
    for (size_t i = 0; i < sizeof readers / sizeof *readers && !may_read; i++) {
        if (calls(line, readers[i])) return "only server/clock.c reads a clock";
    }
    return NULL;
}

static const char *extern_complaint(const char *file, const char *line) {
    bool is_variable = starts_with(skip_space(line), "extern ") && strchr(line, '(') == NULL;
    return is_variable && layer_of(file) != NULL && ends_with(file, ".c") ? "no extern variables"
                                                                          : NULL;
}

typedef const char *rule(const char *file, const char *line);

static rule *const rules[] = {include_complaint, clock_complaint, extern_complaint};

static const char *complaint(const char *file, const char *line) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const char *found = rules[i](file, line);
        if (found != NULL) return found;
    }
    return NULL;
}

/* ---- Reading a file -------------------------------------------------------------------------- */

/* Blank out comments, so that prose may say "time (" or show an include; the text keeps its length. `in_comment` lasts from
 * line to line. Strings are left: an include's name is one. A quote guards a comment's opening that stands inside it. */
static void strip_comments(char *line, bool *in_comment) {
    char quote = '\0';
    for (char *c = line; *c != '\0'; c++) {
        if (*in_comment) {
            *in_comment = !(c[0] == '*' && c[1] == '/');
            if (!*in_comment) *c++ = ' ';
            *c = ' ';
        } else if (quote != '\0') {
            if (*c == '\\' && c[1] != '\0') {
                c++;
            } else if (*c == quote) {
                quote = '\0';
            }
        } else if (c[0] == '/' && c[1] == '/') {
            *c = '\0';
            return;
        } else if (c[0] == '/' && c[1] == '*') {
            *in_comment = true;
            c[0] = c[1] = ' ';
            c++;
        } else if (*c == '"' || *c == '\'') {
            quote = *c;
        }
    }
}

/* The header that shares the file's name: "table.h" for shards/table.c. */
static bool is_own_header(const char *file, const char *name) {
    char own[PATH_BYTES_MAX], path[PATH_BYTES_MAX];
    snprintf(own, sizeof own, "%.*s.h", (int)strlen(file) - 2, file);
    resolve(file, name, path);
    return strcmp(own, path) == 0;
}

static bool has_own_header(const char *file) {
    char own[PATH_BYTES_MAX];
    snprintf(own, sizeof own, SHERD_SOURCE_DIR "/%.*s.h", (int)strlen(file) - 2, file);
    return access(own, R_OK) == 0;
}

static int report(FILE *out, const char *file, int number, const char *what) {
    fprintf(out, "%s:%d: %s\n", file, number, what);
    return 1;
}

/* `file` is the path from the root. Returns how many lines break a rule; each is reported to `out`. */
static int count_breaches(FILE *stream, const char *file, bool must_include_own_first, FILE *out) {
    char line[LINE_BYTES_MAX], name[PATH_BYTES_MAX], close;
    bool in_comment = false;
    int breaches = 0;
    for (int number = 1; fgets(line, sizeof line, stream) != NULL; number++) {
        strip_comments(line, &in_comment);
        const char *found = complaint(file, line);
        if (found != NULL) breaches += report(out, file, number, found);
        if (must_include_own_first && included(line, name, &close)) {
            if (!is_own_header(file, name))
                breaches += report(out, file, number, "its own header comes first");
            must_include_own_first = false;
        }
    }
    return breaches;
}

static int count_breaches_of_file(const char *full_path) {
    const char *file = full_path + strlen(SHERD_SOURCE_DIR "/");
    FILE *stream = fopen(full_path, "r");
    if (stream == NULL) return report(stderr, file, 0, "can't be read");
    bool must_include_own_first =
        ends_with(file, ".c") && layer_of(file) != NULL && has_own_header(file);
    int breaches = count_breaches(stream, file, must_include_own_first, stderr);
    fclose(stream);
    return breaches;
}

/* ---- The tests ------------------------------------------------------------------------------- */

static void every_source_file_keeps_to_its_layer(void **state) {
    (void)state;
    char shards[] = SHERD_SOURCE_DIR "/shards", net[] = SHERD_SOURCE_DIR "/net",
         server[] = SHERD_SOURCE_DIR "/server";
    char *roots[] = {shards, net, server, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    assert_non_null(tree);
    int files = 0, breaches = 0;
    for (FTSENT *entry; (entry = fts_read(tree)) != NULL;) {
        if (entry->fts_info != FTS_F) continue;
        if (!ends_with(entry->fts_path, ".c") && !ends_with(entry->fts_path, ".h")) continue;
        files++;
        breaches += count_breaches_of_file(entry->fts_path);
    }
    fts_close(tree);
    assert_true(files > 20); /* we did look at the tree */
    assert_int_equal(breaches, 0);
}

static void allowed_lines_pass(void **state) {
    (void)state;
    static const char *const allowed[][2] = {
        {"shards/base/hash.c", "#include \"bytes.h\""},
        {"shards/table.c", "#include \"shards/base/bytes.h\""},
        {"shards/table.c", "#include \"base/bytes.h\""},
        {"shards/types/list.c", "#include \"shards/entry.h\""},
        {"net/poll.c", "# include \"shards/base/queue.h\""},
        {"net/uring.h", "#include <liburing.h>"},
        {"net/tls.c", "#include <openssl/ssl.h>"},
        {"server/access/password.c", "#include <openssl/sha.h>"},
        {"server/worker.c", "#include \"net/engine.h\""},
        {"server/commands/strings.c", "#include \"server/command.h\""},
        {"server/clock.c", "    clock_gettime(CLOCK_REALTIME, &now);"},
        {"shards/base/rwlock.c", "    clock_gettime(CLOCK_MONOTONIC, &now);"},
        {"shards/expiry.c", "    expiry_time(entry);"},
        {"shards/expiry.c", "    call->time(entry);"},
        {"server/log.h", "extern const char *log_name(int level);"},
        {"tests/shards/table_test.c", "#include \"net/ring.h\""},
        {"bench/load.c", "    clock_gettime(CLOCK_MONOTONIC, &now);"},
    };
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (complaint(allowed[i][0], allowed[i][1]) != NULL)
            fail_msg("%s: %s", allowed[i][0], allowed[i][1]);
    }
}

static void forbidden_lines_are_found(void **state) {
    (void)state;
    static const char *const forbidden[][2] = {
        {"shards/base/hash.c", "#include \"shards/table.h\""},
        {"shards/table.c", "#include \"net/buffer.h\""},
        {"shards/table.c", "  #  include \"server/clock.h\""},
        {"shards/types/list.c", "#include \"../entry.h\""},
        {"net/poll.c", "#include \"shards/table.h\""},
        {"net/poll.c", "#include \"server/client.h\""},
        {"net/poll.c", "#include <liburing.h>"},
        {"net/ring.c", "#include <liburing.h>"},
        {"net/ring.c", "#include <openssl/ssl.h>"},
        {"server/certificates.c", "#include <openssl/ssl.h>"},
        {"server/worker.c", "#include \"tests/support/wire.h\""},
        {"server/worker.c", "#include \"bench/load.h\""},
        {"server/worker.c", "#include <liburing.h>"},
        {"shards/expiry.c", "    clock_gettime(CLOCK_REALTIME, &now);"},
        {"server/worker.c", "    gettimeofday(&now, NULL);"},
        {"net/poll.c", "    return time (NULL);"},
        {"server/worker.c", "extern int worker_count;"},
        {"server/worker.c", "    extern struct server server;"},
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        if (complaint(forbidden[i][0], forbidden[i][1]) == NULL) {
            fail_msg("%s: %s", forbidden[i][0], forbidden[i][1]);
        }
    }
}

/* What the checker reports about a made-up file is `expected`, to the letter. */
static void assert_report(char *source, const char *expected) {
    char *reported = NULL;
    size_t size = 0;
    FILE *in = fmemopen(source, strlen(source), "r");
    FILE *out = open_memstream(&reported, &size);
    assert_non_null(in);
    assert_non_null(out);
    count_breaches(in, "shards/table.c", true, out);
    fclose(in);
    fclose(out);
    assert_string_equal(reported, expected);
    free(reported);
}

static void comments_are_not_code(void **state) {
    (void)state;
    char prose[] =
        "/* by time (NULL),\n#include \"net/ring.h\"\n extern int x; */\n"
        "#include \"table.h\" // time(0)\nint a; /* time( */ int b = '\"'; /* time(\n*/\n";
    assert_report(prose, "");
    char code[] = "#include \"table.h\"\n/* a */ int t = time(NULL); /*\n*/ extern int x;\n"
                  "char *s = \"/*\";\nextern int y;\n";
    assert_report(code, "shards/table.c:2: only server/clock.c reads a clock\n"
                        "shards/table.c:3: no extern variables\n"
                        "shards/table.c:5: no extern variables\n");
}

static void a_file_includes_its_own_header_first(void **state) {
    (void)state;
    char first[] = "/* essay */\n#include \"table.h\"\n#include <stdio.h>\n";
    assert_report(first, "");
    char from_root[] = "#include \"shards/table.h\"\n";
    assert_report(from_root, "");
    char late[] = "#include <stdio.h>\n#include \"table.h\"\n";
    assert_report(late, "shards/table.c:1: its own header comes first\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allowed_lines_pass),
        cmocka_unit_test(forbidden_lines_are_found),
        cmocka_unit_test(comments_are_not_code),
        cmocka_unit_test(a_file_includes_its_own_header_first),
        cmocka_unit_test(every_source_file_keeps_to_its_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
