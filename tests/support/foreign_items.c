#include "tests/support/foreign_items.h"

#define RAW(text)                                                                                  \
    { text, sizeof(text) - 1 }

const struct foreign_item foreign_items[] = {
    {NULL, RAW("\xfd\1\0\0\0\0\1k\1v")}, /* a deadline in seconds */
    {NULL, RAW("\xf8\x40\x7f\0\1k\1v")}, /* idle time */
    {NULL, RAW("\xf9\5\0\1k\1v")},       /* frequency */
    {"list", RAW("\1\1k\2\1a\1b")},
    {"sorted set", RAW("\3\1k\2\1a\3"
                       "1.5\1b\xfe")},
    {"sorted set", RAW("\5\1k\1\1a12345678")},
    {"hash", RAW("\4\1k\1\1f\1v")},
    {"list", RAW("\x12\1k\1\2\3abc")},
    {"set", RAW("\x0b\1k\3abc")},
    {"stream", RAW("\x15\1k\1\1i\1l\1\1\1\1\1\1\1\1\1\1g\1\1\1\1"
                   "0123456789abcdef"
                   "01234567"
                   "\1\1\1c"
                   "01234567"
                   "01234567"
                   "\1"
                   "0123456789abcdef")},
    {"hash with deadlines", RAW("\x18\1k"
                                "01234567"
                                "\1\0\1f\1v")},
    {"module value", RAW("\7\1k\x81"
                         "01234567"
                         "\1\5\2\6\3ffff\4dddddddd\5\1s\0")},
    {"module's data", RAW("\xf7\x81"
                          "01234567"
                          "\2\1\0")},
    {"function library", RAW("\xf5\3lib")},
};

const size_t foreign_item_count = sizeof foreign_items / sizeof *foreign_items;
