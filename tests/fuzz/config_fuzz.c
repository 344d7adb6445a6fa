/* Any bytes as a configuration file: it is refused with a reason, or what it set can be written out and read back
 * to the same. Included files are left out: they would read this machine's. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"
#include "server/config_value.h"
#include "shards/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool mentions_include(const uint8_t *data, size_t size) {
    static const char word[] = "include";
    for (size_t i = 0; i + sizeof word - 1 <= size; i++) {
        if (bytes_is(bytes_of(data + i, sizeof word - 1), word)) return true;
    }
    return false;
}

/* What is set, written out, must be accepted by another configuration and mean the same there. */
static void check_values_read_back(const struct config *config) {
    struct config *other = config_create();
    check(other != NULL);
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        char value[CONFIG_TEXT_MAX], again[CONFIG_TEXT_MAX], error[CONFIG_ERROR_MAX];
        struct bytes text = bytes_of(value, config_value_write(option, config, value));
        check(config_value_read(option, text, other, error) == STATUS_OK);
        check(bytes_equal(text, bytes_of(again, config_value_write(option, other, again))));
    }
    config_destroy(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (mentions_include(data, size)) return 0;
    struct config *config = config_create();
    char *text = malloc(size);
    check(config != NULL && (text != NULL || size == 0));
    if (size > 0) memcpy(text, data, size);
    char error[CONFIG_ERROR_MAX] = "";
    enum status status = config_load_text(config, "fuzz", text, size, error);
    check(status == STATUS_OK || error[0] != '\0');
    check_values_read_back(config);
    free(text);
    config_destroy(config);
    return 0;
}
