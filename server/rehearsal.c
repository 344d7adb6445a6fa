#include "server/rehearsal.h"

#include "net/listener.h"
#include "server/access/access.h"
#include "server/admission.h"
#include "server/certificates.h"
#include "server/conflicts.h"
#include "server/directory.h"
#include "server/http/http.h"
#include "server/log.h"
#include "server/pidfile.h"
#include "server/server.h"
#include "server/takeover/predecessor.h"

/* False: relative paths lead nowhere. */
static bool enter_directory(struct config *config) {
    char error[CONFIG_ERROR_MAX];
    if (directory_enter(config, error) == STATUS_OK) return true;
    config_tells_of(config, "dir", error);
    return false;
}

/* Those that a server makes, or takes over, at its start. */
static void check_paths(struct config *config, bool is_in_directory) {
    const struct {
        const char *option, *path;
        enum status (*check)(const char *path, char *error);
    } rows[] = {
        {"logfile", config->logfile, log_check},
        {"unixsocket", config->unixsocket, listener_check_unix},
        {"takeover-socket", config->takeover_socket, predecessor_check},
        {"pidfile", config->pidfile, pidfile_check},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char error[CONFIG_ERROR_MAX];
        bool is_findable = is_in_directory || rows[i].path[0] == '/';
        if (rows[i].path[0] == '\0' || !is_findable) continue;
        if (rows[i].check(rows[i].path, error) != STATUS_OK)
            config_tells_of(config, rows[i].option, error);
    }
}

static void check_metrics(struct config *config) {
    char error[CONFIG_ERROR_MAX];
    if (http_check(config, error) != STATUS_OK) config_tells_of(config, "metrics-port", error);
}

static void check_conflicts(struct config *config) {
    const char *option;
    char error[CONFLICTS_ERROR_MAX];
    if (conflicts_check(config, &option, error) != STATUS_OK)
        config_tells_of(config, option, error);
}

void rehearsal_run(struct config *config) {
    bool is_in_directory = enter_directory(config);
    check_paths(config, is_in_directory);
    access_check(config);
    certificates_check(config);
    admission_check(config);
    check_metrics(config);
    check_conflicts(config);
    server_check(config);
}
