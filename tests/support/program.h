/* Programs that a test runs to their end. Main thread only: what goes wrong fails the test. */
#pragma once

/* Run a shell command line. Returns all that it wrote to its standard output ("2>&1" to have its errors, too), as
 * text, which the caller frees; `*exit_status` is -1 when a signal ended it. */
char *program_run(const char *line, int *exit_status);
/* Run it: it ends with this status, and `text` is somewhere in what it wrote. */
void program_expect(const char *line, int exit_status, const char *text);
