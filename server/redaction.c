#include "server/redaction.h"

#include <string.h>

#include "server/command.h"

static bool hides_auth(const struct bytes *args, uint32_t index) {
    (void)args;
    return index >= 1;
}

/* [protocol [AUTH user password] [SETNAME name]] */
static bool hides_hello(const struct bytes *args, uint32_t index) {
    return index >= 3 &&
           (bytes_is(args[index - 1], "AUTH") || (index >= 4 && bytes_is(args[index - 2], "AUTH")));
}

static bool hides_user(const struct bytes *args, uint32_t index) {
    (void)args;
    return index >= 2;
}

static bool hides_config(const struct bytes *args, uint32_t index) {
    static const char *const secrets[] = {"requirepass", "masterauth", "masteruser",
                                          "tls-key-file-pass", "tls-client-key-file-pass"};
    if (index < 3 || index % 2 == 0) return false; /* a name */
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        if (bytes_is(args[index - 1], secrets[i])) return true;
    }
    return false;
}

static const struct {
    const char *command;
    bool (*hides)(const struct bytes *args, uint32_t index);
} rules[] = {
    {"auth", hides_auth},        {"hello", hides_hello},      {"acl|setuser", hides_user},
    {"acl|deluser", hides_user}, {"acl|getuser", hides_user}, {"config|set", hides_config},
};

bool redaction_hides(const struct command *row, const struct bytes *args, uint32_t index) {
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (strcmp(row->name, rules[i].command) == 0) return rules[i].hides(args, index);
    }
    return false;
}
