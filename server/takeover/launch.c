/* The executable is looked up by the path it had at our start, not through /proc/self/exe, which follows the file:
 * an upgrade puts a new file at the path, and that is what shall start.
 *
 * WATCHDOG_PID in systemd's environment is our number, and would tell the successor that nobody watches it: it
 * isn't passed on. */
#include "launch.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/log.h"
#include "shards/base/memory.h"

static char takeover_flag[] = "--takeover";

void launch_note(struct launch *launch, int argument_count, char *const *arguments) {
    *launch = (struct launch){.argument_count = argument_count, .arguments = arguments};
    launch->takes_over = argument_count > 1 && strcmp(arguments[1], takeover_flag) == 0;
    ssize_t size = readlink("/proc/self/exe", launch->program, sizeof launch->program - 1);
    launch->program[size > 0 ? size : 0] = '\0';
    if (getcwd(launch->folder, sizeof launch->folder) == NULL) launch->folder[0] = '\0';
}

/* Ours with --takeover in front. The caller frees the array, not the texts. NULL: no memory. */
static char **make_arguments(const struct launch *launch) {
    char **made = memory_allocate_zeroed(((size_t)launch->argument_count + 2) * sizeof *made);
    if (made == NULL) return NULL;
    int count = 0, first = launch->takes_over ? 2 : 1;
    made[count++] = launch->arguments[0];
    made[count++] = takeover_flag;
    for (int i = first; i < launch->argument_count; i++) {
        made[count++] = launch->arguments[i];
    }
    return made;
}

static char **make_environment(void) {
    static const char left_out[] = "WATCHDOG_PID=";
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **made = memory_allocate_zeroed((count + 1) * sizeof *made);
    if (made == NULL) return NULL;
    for (size_t i = 0, kept = 0; i < count; i++) {
        if (strncmp(environ[i], left_out, sizeof left_out - 1) != 0) made[kept++] = environ[i];
    }
    return made;
}

/* With every signal as a shell would give it. What 0 is returned for has begun; otherwise an errno. */
static int spawn(const struct launch *launch, char **arguments, char **environment, pid_t *pid) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    int error = posix_spawnattr_init(&attributes);
    if (error != 0) return error;
    error = posix_spawn_file_actions_init(&actions);
    if (error != 0) goto no_actions;
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = posix_spawn_file_actions_addchdir_np(&actions, launch->folder);
    if (error == 0)
        error = posix_spawn(pid, launch->program, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
no_actions:
    posix_spawnattr_destroy(&attributes);
    return error;
}

enum status launch_successor(const struct launch *launch, pid_t *pid, char *error) {
    if (launch->reads_stdin) {
        snprintf(error, LAUNCH_ERROR_MAX,
                 "the configuration came from standard input; start one with it and --takeover");
        return STATUS_REFUSED;
    }
    if (getpid() == 1) {
        snprintf(error, LAUNCH_ERROR_MAX,
                 "this is process 1 of a container, which ends with it; start a second container "
                 "with --takeover and the folder of takeover-socket in a volume of both");
        return STATUS_REFUSED;
    }
    char **arguments = make_arguments(launch), **environment = make_environment();
    int number = ENOMEM;
    if (arguments != NULL && environment != NULL)
        number = spawn(launch, arguments, environment, pid);
    memory_free(arguments);
    memory_free(environment);
    if (number == 0) return STATUS_OK;
    snprintf(error, LAUNCH_ERROR_MAX, "%.150s can't be started: %s", launch->program,
             strerror(number));
    return STATUS_REFUSED;
}

void launch_reap(void) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (WIFSIGNALED(status)) {
            log_warning("The successor, process %d, was ended by signal %d", (int)pid,
                        WTERMSIG(status));
        } else if (WEXITSTATUS(status) != 0) {
            log_warning("The successor, process %d, gave up (exit status %d); its own log says why",
                        (int)pid, WEXITSTATUS(status));
        }
    }
}
