#include "hosts.h"

#include <stdio.h>
#include <string.h>

void hosts_init(struct hosts *hosts, const struct config *config) {
    snprintf(hosts->text, sizeof(hosts->text), "%s", config->bind);
    hosts->words = (struct words){hosts->text, hosts->text + strlen(hosts->text)};
}

bool hosts_next(struct hosts *hosts) {
    struct bytes word;
    if (words_next(&hosts->words, &word) != WORDS_FOUND) return false;
    hosts->is_optional = word.size > 0 && word.data[0] == '-';
    snprintf(hosts->host, sizeof(hosts->host), "%.*s", (int)word.size - hosts->is_optional,
             word.data + hosts->is_optional);
    return true;
}
