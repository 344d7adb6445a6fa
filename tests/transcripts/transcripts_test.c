/* Every *.transcript of this folder, or only those named as arguments, against one server (see README.md here). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdlib.h>

#include "tests/support/server.h"
#include "tests/support/transcript.h"

static const char all_transcripts[] = SHERD_SOURCE_DIR "/tests/transcripts/*.transcript";

static void the_conversation_goes_as_written(void **state) {
    transcript_run(*state);
}

static int run_paths(char **paths, size_t count) {
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    if (tests == NULL) return 1;
    for (size_t i = 0; i < count; i++) {
        tests[i] = (struct CMUnitTest){
            .name = paths[i],
            .test_func = the_conversation_goes_as_written,
            .initial_state = paths[i],
        };
    }
    int failed = _cmocka_run_group_tests("transcripts", tests, count, NULL, NULL);
    free(tests);
    return failed;
}

int main(int argument_count, char **arguments) {
    test_server_require();
    if (argument_count > 1) return run_paths(arguments + 1, (size_t)argument_count - 1);
    glob_t found;
    if (glob(all_transcripts, 0, NULL, &found) != 0) return 1;
    int failed = run_paths(found.gl_pathv, found.gl_pathc);
    globfree(&found);
    return failed;
}
