#include "version.h"

#include <stdlib.h>

static unsigned long next_number(const char **text) {
    char *end;
    unsigned long number = strtoul(*text, &end, 10);
    *text = *end == '.' ? end + 1 : "";
    return number;
}

bool version_is_older(const char *version, const char *than) {
    while (*version != '\0' || *than != '\0') {
        unsigned long number = next_number(&version), other = next_number(&than);
        if (number != other) return number < other;
    }
    return false;
}
