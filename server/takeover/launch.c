/* The executable is looked up by the path it had at our start, not through /proc/self/exe, which follows the file:
 * an upgrade puts a new file at the path, and that is what shall start.
 *
 * WATCHDOG_PID in systemd's environment is our number, and would tell the successor that nobody watches it: it
 * isn't passed on.
 *
 * A successor whose configuration is wrong doesn't know where its log is, and its standard error may lead nowhere: it
 * writes why into a pipe as well, which is read once it has ended. The pipe takes LAUNCH_REASON_MAX bytes at once, so
 * nobody waits for anybody; standard error itself is left alone, as it is the successor's for as long as it lives. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/log.h"
#include "shards/base/memory.h"

static char takeover_flag[] = "--takeover";

enum { REASON_FD = 3 /* in the successor */ };
#define REASON_NAME "SHERD_REASON_FD"
static char reason_setting[] = REASON_NAME "=3";

/* -1: there is none. */
static int find_reason_fd(void) {
    struct stat about;
    if (getenv(REASON_NAME) == NULL) return -1;
    unsetenv(REASON_NAME);
    if (fstat(REASON_FD, &about) != 0 || !S_ISFIFO(about.st_mode)) return -1;
    return fcntl(REASON_FD, F_SETFD, FD_CLOEXEC) == 0 &&
                   fcntl(REASON_FD, F_SETFL, O_WRONLY | O_NONBLOCK) == 0
               ? REASON_FD
               : -1;
}

void launch_note(struct launch *launch, int argument_count, char *const *arguments) {
    *launch = (struct launch){.argument_count = argument_count, .arguments = arguments};
    launch->takes_over = argument_count > 1 && strcmp(arguments[1], takeover_flag) == 0;
    ssize_t size = readlink("/proc/self/exe", launch->program, sizeof launch->program - 1);
    launch->program[size > 0 ? size : 0] = '\0';
    if (getcwd(launch->folder, sizeof launch->folder) == NULL) launch->folder[0] = '\0';
    launch->reason_fd = find_reason_fd();
}

void launch_explain(struct launch *launch, const char *why) {
    if (launch->reason_fd < 0) return;
    ssize_t written =
        why != NULL ? write(launch->reason_fd, why, strnlen(why, LAUNCH_REASON_MAX)) : 0;
    (void)written; /* who launched us may be gone */
    close(launch->reason_fd);
    launch->reason_fd = -1;
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
    char **made = memory_allocate_zeroed((count + 2) * sizeof *made);
    if (made == NULL) return NULL;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], left_out, sizeof left_out - 1) != 0) made[kept++] = environ[i];
    }
    made[kept] = reason_setting;
    return made;
}

/* With every signal as a shell would give it. What 0 is returned for has begun; otherwise an errno. */
static int spawn(const struct launch *launch, char **arguments, char **environment, int reason_fd,
                 pid_t *pid) {
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
    if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, reason_fd, REASON_FD);
    if (error == 0)
        error = posix_spawn(pid, launch->program, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
no_actions:
    posix_spawnattr_destroy(&attributes);
    return error;
}

/* The same, with a pipe for what it has to say. */
static int spawn_heard(const struct launch *launch, char **arguments, char **environment,
                       struct launched *launched) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return errno;
    pid_t pid;
    int error = spawn(launch, arguments, environment, ends[1], &pid);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        return error;
    }
    launched_release(launched); /* one that was started before is listened to no more */
    *launched = (struct launched){.pid = pid, .reason_fd = ends[0], .has_any = true};
    return 0;
}

enum status launch_successor(const struct launch *launch, struct launched *launched, char *error) {
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
        number = spawn_heard(launch, arguments, environment, launched);
    memory_free(arguments);
    memory_free(environment);
    if (number == 0) return STATUS_OK;
    snprintf(error, LAUNCH_ERROR_MAX, "%.150s can't be started: %s", launch->program,
             strerror(number));
    return STATUS_REFUSED;
}

/* It has ended: all it said is there. Control bytes become spaces. */
static void read_reason(const struct launched *launched, char out[LAUNCH_REASON_MAX + 1]) {
    ssize_t size = read(launched->reason_fd, out, LAUNCH_REASON_MAX);
    out[size > 0 ? size : 0] = '\0';
    for (char *at = out; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ') *at = ' ';
    }
}

static void tell_failure(const struct launched *launched, pid_t pid, int exit_status) {
    char reason[LAUNCH_REASON_MAX + 1] = "";
    if (pid == launched->pid) read_reason(launched, reason);
    log_warning("The successor, process %d, gave up (exit status %d)%s%s", (int)pid, exit_status,
                reason[0] != '\0' ? ": " : "; its own log says why", reason);
}

void launch_reap(struct launched *launched) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (!launched->has_any) continue; /* an orphan's: we are process 1, or had a child before */
        if (WIFSIGNALED(status)) {
            log_warning("The successor, process %d, was ended by signal %d", (int)pid,
                        WTERMSIG(status));
        } else if (WEXITSTATUS(status) != 0) {
            tell_failure(launched, pid, WEXITSTATUS(status));
        }
        if (pid == launched->pid) launched_release(launched);
    }
}

void launched_release(struct launched *launched) {
    if (launched->pid != 0) close(launched->reason_fd);
    launched->pid = 0;
}
