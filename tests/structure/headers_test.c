/* Each of our headers compiles alone: whoever includes one needs nothing beside it.
 *
 * One compiler process a header would take seconds. So a scratch folder gets a source file for each header, with nothing but its
 * include line, and one compiler process checks them all: each is still a translation unit of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 512, PATH_BYTES_MAX = 512 };

static const char *const compiler[] = {
    "cc", "-std=gnu17",     "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
    "-I", SHERD_SOURCE_DIR,
};

/* A scratch folder of one-line sources, and the compiler's command line that checks them. */
struct compilation {
    char folder[PATH_BYTES_MAX];
    char *arguments[ARGUMENTS_MAX + 1]; /* NULL-terminated; owned */
    size_t count;
    size_t sources; /* the last so many arguments: our files */
};

static void add_argument(struct compilation *compilation, const char *argument) {
    assert_true(compilation->count < ARGUMENTS_MAX);
    char *copy = strdup(argument);
    assert_non_null(copy);
    compilation->arguments[compilation->count++] = copy;
}

static void compilation_init(struct compilation *compilation) {
    *compilation = (struct compilation){.folder = "/tmp/sherd-headers-XXXXXX"};
    assert_non_null(mkdtemp(compilation->folder));
    for (size_t i = 0; i < sizeof compiler / sizeof *compiler; i++) {
        add_argument(compilation, compiler[i]);
    }
}

static void add_source(struct compilation *compilation, const char *text) {
    char path[PATH_BYTES_MAX + 32];
    snprintf(path, sizeof path, "%s/%zu.c", compilation->folder, compilation->sources);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    add_argument(compilation, path);
    compilation->sources++;
}

static void compilation_release(struct compilation *compilation) {
    for (size_t i = 0; i < compilation->count; i++) {
        if (i >= compilation->count - compilation->sources) unlink(compilation->arguments[i]);
        free(compilation->arguments[i]);
    }
    rmdir(compilation->folder);
}

/* Does everything compile? What the compiler has to say goes to our standard error, or nowhere when `quietly`. */
static bool compiles(const struct compilation *compilation, bool quietly) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (quietly && freopen("/dev/null", "w", stderr) == NULL) _exit(127);
        execvp(compilation->arguments[0], compilation->arguments);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 127); /* there is a compiler */
    return WEXITSTATUS(status) == 0;
}

static bool is_header(const FTSENT *entry) {
    return entry->fts_info == FTS_F && entry->fts_namelen > 2 &&
           strcmp(entry->fts_name + entry->fts_namelen - 2, ".h") == 0;
}

static void add_headers_of_tree(struct compilation *compilation) {
    char shards[] = SHERD_SOURCE_DIR "/shards", net[] = SHERD_SOURCE_DIR "/net",
         server[] = SHERD_SOURCE_DIR "/server";
    char *roots[] = {shards, net, server, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    assert_non_null(tree);
    for (FTSENT *entry; (entry = fts_read(tree)) != NULL;) {
        if (!is_header(entry)) continue;
        char line[PATH_BYTES_MAX + 32];
        snprintf(line, sizeof line, "#include \"%s\"\n",
                 entry->fts_path + strlen(SHERD_SOURCE_DIR "/"));
        add_source(compilation, line);
    }
    fts_close(tree);
}

static void every_header_compiles_alone(void **state) {
    (void)state;
    struct compilation compilation;
    compilation_init(&compilation);
    add_headers_of_tree(&compilation);
    bool compiled = compiles(&compilation, false);
    size_t headers = compilation.sources;
    compilation_release(&compilation);
    assert_true(headers > 10); /* we did look at the tree */
    assert_true(compiled);
}

/* Were the compiler lenient, or its flags wrong, the test above would say nothing. */
static void a_header_that_needs_another_is_found(void **state) {
    (void)state;
    struct compilation compilation;
    compilation_init(&compilation);
    add_source(&compilation, "#include \"shards/base/bytes.h\"\n");
    assert_true(compiles(&compilation, false));
    add_source(&compilation, "uint64_t needs_stdint(void);\n");
    bool compiled = compiles(&compilation, true);
    compilation_release(&compilation);
    assert_false(compiled);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_header_compiles_alone),
        cmocka_unit_test(a_header_that_needs_another_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
