/* The words of `bind`, one after the other. */
#pragma once

#include <stdbool.h>

#include "config.h"
#include "net/address.h"
#include "net/words.h"

struct hosts {
    char text[CONFIG_TEXT_MAX];
    struct words words; /* of the text */
    char host[ADDRESS_TEXT_MAX];
    bool is_optional; /* it had a '-' before it */
};

void hosts_init(struct hosts *hosts, const struct config *config);
/* False: there are no more of them. */
bool hosts_next(struct hosts *hosts);
