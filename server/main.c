/* argv -> configuration -> server. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "config.h"
#include "log.h"
#include "server.h"

int main(int argc, char **argv) {
    struct config *config = config_create();
    if (config == NULL) {
        fputs("sherd: no memory to start with\n", stderr);
        return EXIT_FAILURE;
    }
    int status = EXIT_SUCCESS;
    switch (cli_read(config, argc, argv, stdout, stderr)) {
    case CLI_SERVE:
        log_set_level((enum log_level)config_number(&config->loglevel));
        if (log_open(config->logfile) == STATUS_OK) {
            status = server_run(config);
        } else {
            status = EXIT_FAILURE;
        }
        break;
    case CLI_DONE:
        break;
    case CLI_WRONG:
        status = EXIT_FAILURE;
        break;
    }
    config_destroy(config);
    return status;
}
