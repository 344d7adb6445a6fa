#include "server/commands/sampling.h"

#include "server/call.h"
#include "server/config.h"
#include "server/server.h"
#include "shards/base/number.h"

bool sampling_read_count(struct call *call, uint32_t index, const char *name, int64_t *count) {
    if (number_read(call->args[index + 1], count) && *count >= 1) return true;
    reply_error_format(call->reply, "ERR %s must be an integer, 1 at least", name);
    return false;
}

bool sampling_is_off(struct call *call) {
    if (config_number(&call->server->config->request_sampling) != 0) return false;
    reply_error(call->reply, "ERR requests are not noted: request-sampling is off. CONFIG SET "
                             "request-sampling yes, and ask again a little later");
    return true;
}
