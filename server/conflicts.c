#include "conflicts.h"

#include <stdio.h>

#include "hosts.h"
#include "net/address.h"
#include "shards/base/path.h"

static enum status refuse_ports(const char *one, const char *other, int64_t port,
                                const char **option, char *error) {
    snprintf(error, CONFLICTS_ERROR_MAX, "%s and %s are both %lld: give each a port of its own",
             one, other, (long long)port);
    *option = other;
    return STATUS_REFUSED;
}

/* Would clients be listened for where metrics are? */
static bool metrics_are_at(const struct config *config, int64_t port) {
    if (port == 0 || port != config_number(&config->metrics_port)) return false;
    struct address metrics, clients;
    char error[ADDRESS_TEXT_MAX]; /* told by whoever opens or checks them */
    if (address_parse(&metrics, config->metrics_bind, (uint16_t)port, error) != STATUS_OK)
        return false;
    struct hosts hosts;
    hosts_init(&hosts, config);
    while (hosts_next(&hosts)) {
        if (address_parse(&clients, hosts.host, (uint16_t)port, error) == STATUS_OK &&
            address_overlaps(&clients, &metrics))
            return true;
    }
    return false;
}

static enum status check_ports(const struct config *config, const char **option, char *error) {
    int64_t port = config_number(&config->port), tls_port = config_number(&config->tls_port);
    if (port != 0 && port == tls_port) return refuse_ports("port", "tls-port", port, option, error);
    if (metrics_are_at(config, port))
        return refuse_ports("port", "metrics-port", port, option, error);
    if (metrics_are_at(config, tls_port))
        return refuse_ports("tls-port", "metrics-port", tls_port, option, error);
    return STATUS_OK;
}

enum status conflicts_check(const struct config *config, const char **option, char *error) {
    enum status status = check_ports(config, option, error);
    if (status != STATUS_OK) return status;
    if (config->unixsocket[0] == '\0' || config->takeover_socket[0] == '\0' ||
        !path_is_same(config->unixsocket, config->takeover_socket))
        return STATUS_OK;
    snprintf(error, CONFLICTS_ERROR_MAX,
             "unixsocket and takeover-socket are both %.120s: give each a path of its own",
             config->takeover_socket);
    *option = "takeover-socket";
    return STATUS_REFUSED;
}
