/* The configuration: what is accepted, refused and with which words; all or nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config.h"
#include "shards/eviction.h"
#include "server/config_value.h"
#include "shards/base/memory.h"
#include "tests/support/configured.h"

/* ---- Helpers --------------------------------------------------------------------------------- */

static enum status load(struct configured *fixture, const char *text) {
    char copy[4096];
    size_t size = strlen(text);
    assert_true(size < sizeof copy);
    memcpy(copy, text, size);
    return config_load_text(fixture->config, "sherd.conf", copy, size, fixture->error);
}

static enum status load_flags(struct configured *fixture, const char *const *arguments) {
    char *flags[CONFIGURED_ARGUMENTS_MAX] = {NULL};
    int count = 0;
    for (; arguments[count] != NULL; count++) {
        assert_true(count < CONFIGURED_ARGUMENTS_MAX);
        flags[count] = strdup(arguments[count]);
    }
    enum status status = config_load_flags(fixture->config, count, flags, fixture->error);
    for (int i = 0; i < count; i++) {
        free(flags[i]);
    }
    return status;
}
#define FLAGS(fixture, ...) load_flags(fixture, (const char *const[]){__VA_ARGS__, NULL})

/* ---- The rows -------------------------------------------------------------------------------- */

static void every_row_is_whole_and_its_default_valid(void **state) {
    struct configured *fixture = *state;
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        assert_true(option->name != NULL && option->group != NULL && option->help != NULL);
        assert_true((option->kind == CONFIG_ENUM) == (option->choices != NULL));
        assert_ptr_equal(config_option_find(bytes_of_text(option->name)), option);
        char value[CONFIG_TEXT_MAX];
        struct bytes text = bytes_of(value, config_value_write(option, fixture->config, value));
        assert_int_equal(config_value_read(option, text, fixture->config, fixture->error),
                         STATUS_OK);
    }
}

static void groups_are_together(void **state) {
    (void)state;
    for (size_t i = 1; i < config_option_count; i++) {
        bool is_new = strcmp(config_options[i].group, config_options[i - 1].group) != 0;
        for (size_t j = 0; is_new && j < i; j++) {
            assert_string_not_equal(config_options[i].group, config_options[j].group);
        }
    }
}

static void defaults_are_those_of_redis_or_ours(void **state) {
    struct configured *fixture = *state;
    configured_expect(fixture->config, "port", "6379");
    configured_expect(fixture->config, "bind", "127.0.0.1 -::1");
    configured_expect(fixture->config, "proto-max-bulk-len", "536870912");
    configured_expect(fixture->config, "save", "");
    configured_expect(fixture->config, "loglevel", "notice");
    configured_expect(fixture->config, "unixsocketperm", "0");
    configured_expect(
        fixture->config, "client-output-buffer-limit",
        "normal 268435456 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
    assert_int_equal(config_number(&fixture->config->lock_mode), LOCK_MODE_SHARDED);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void a_file_sets_options_in_every_notation(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(
        load(fixture, "# a comment\n\n   \t# another\r\nPORT 7000\r\n"
                      "requirepass \"a \\x41\\n'\"\nlogfile 'it\\'s'\n"
                      "proto-max-bulk-len 64mb\nclient-query-buffer-limit 2G\nunixsocketperm 0770\n"
                      "protected-mode NO\nbind   10.0.0.1   ::1\nsave \"\"\nio epoll\n"
                      "client-output-buffer-limit replica 1kb 2k 3\ntimeout 5"),
        STATUS_OK);
    configured_expect(fixture->config, "port", "7000");
    configured_expect(fixture->config, "requirepass", "a A\n'");
    configured_expect(fixture->config, "logfile", "it's");
    configured_expect(fixture->config, "proto-max-bulk-len", "67108864");
    configured_expect(fixture->config, "client-query-buffer-limit", "2000000000");
    configured_expect(fixture->config, "unixsocketperm", "770");
    configured_expect(fixture->config, "protected-mode", "no");
    configured_expect(fixture->config, "bind", "10.0.0.1 ::1");
    configured_expect(fixture->config, "io", "epoll");
    configured_expect(fixture->config, "client-output-buffer-limit",
                      "normal 268435456 0 0 slave 1024 2000 3 pubsub 33554432 8388608 60");
    configured_expect(fixture->config, "timeout", "5");
}

static void what_is_wrong_in_a_file_is_told_with_its_place(void **state) {
    struct configured *fixture = *state;
    static const struct {
        const char *text, *error;
    } examples[] = {
        {"\nmaxclient 5\n",
         "sherd.conf:2: unknown option 'maxclient' (did you mean 'maxclients'?)"},
        {"cluster-enabled yes\n", "sherd.conf:1: unknown option 'cluster-enabled'"},
        {"port\n", "sherd.conf:1: port: wrong number of arguments: it takes one"},
        {"port 1 2\n", "sherd.conf:1: port: wrong number of arguments: it takes one"},
        {"port 65536\n", "sherd.conf:1: port: argument must be between 0 and 65535 inclusive"},
        {"port x\n", "sherd.conf:1: port: argument couldn't be parsed into an integer"},
        {"unixsocketperm 8\n",
         "sherd.conf:1: unixsocketperm: argument couldn't be parsed as an octal number"},
        {"unixsocketperm 1000\n",
         "sherd.conf:1: unixsocketperm: argument must be between 0 and 777 inclusive"},
        {"protected-mode 1\n", "sherd.conf:1: protected-mode: argument must be 'yes' or 'no'"},
        {"proto-max-bulk-len 1tb\n",
         "sherd.conf:1: proto-max-bulk-len: argument must be a memory value"},
        {"proto-max-bulk-len 9999999999gb\n",
         "sherd.conf:1: proto-max-bulk-len: argument must be a memory value"},
        {"io windows\n",
         "sherd.conf:1: io: argument(s) must be one of the following: auto, uring, epoll"},
        {"requirepass \"a\n", "sherd.conf:1: unbalanced quotes"},
        {"latency-tracking-info-percentiles 101\n",
         "sherd.conf:1: latency-tracking-info-percentiles: "
         "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"},
        {"client-output-buffer-limit normal 1 2\n",
         "sherd.conf:1: client-output-buffer-limit: Wrong number of arguments in buffer limit "
         "configuration."},
        {"client-output-buffer-limit normal much 1 2\n",
         "sherd.conf:1: client-output-buffer-limit: Error in hard, soft or soft_seconds setting in "
         "buffer limit configuration."},
        {"client-output-buffer-limit master 1 2 3\n",
         "sherd.conf:1: client-output-buffer-limit: Invalid client class specified in buffer limit "
         "configuration."},
        {"include\n", "sherd.conf:1: include: wrong number of arguments: it takes one"},
        {"include /nowhere/x.conf\n",
         "sherd.conf:1: include: cannot read /nowhere/x.conf: No such file or directory"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        assert_int_equal(load(fixture, examples[i].text), STATUS_REFUSED);
        assert_string_equal(fixture->error, examples[i].error);
    }
}

static void every_error_is_told_to_whom_asks_for_all(void **state) {
    struct configured *fixture = *state;
    char *told = NULL;
    size_t size;
    fixture->config->errors = open_memstream(&told, &size);
    assert_non_null(fixture->config->errors);
    assert_int_equal(load(fixture, "port x\nhz 20\nuzer a on\ninclude /nowhere/x.conf\nio \"epoll"),
                     STATUS_OK);
    char name[] = "--tiemout", value[] = "1", stray[] = "stray";
    char *flags[] = {stray, name, value};
    assert_int_equal(config_load_flags(fixture->config, 3, flags, fixture->error), STATUS_OK);
    fclose(fixture->config->errors);
    fixture->config->errors = NULL;
    assert_string_equal(
        told, "sherd.conf:1: port: argument couldn't be parsed into an integer\n"
              "sherd.conf:3: unknown option 'uzer' (did you mean 'user'?)\n"
              "sherd.conf:4: include: cannot read /nowhere/x.conf: No such file or directory\n"
              "sherd.conf:5: unbalanced quotes\n"
              "stray: not an option: options begin with --\n"
              "--tiemout: unknown option 'tiemout' (did you mean 'timeout'?)\n");
    assert_int_equal(fixture->config->error_count, 6);
    configured_expect(fixture->config, "hz", "20");
    free(told);
}

static void what_we_cannot_do_is_refused_not_ignored(void **state) {
    struct configured *fixture = *state;
    static const char *const lines[] = {"appendonly yes\n", "daemonize yes\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(load(fixture, lines[i]), STATUS_REFUSED);
        assert_non_null(strstr(fixture->error, "sherd"));
    }
    assert_int_equal(
        load(fixture,
             "save \"\"\nappendonly no\nmaxmemory 0\nmaxmemory-policy noeviction\ndaemonize no\n"),
        STATUS_OK);
}

static void percentiles_are_told_as_numbers_whatever_words_they_came_in(void **state) {
    struct configured *fixture = *state;
    static const struct {
        const char *given, *told;
    } examples[] = {{"50.0  0.10 1e1", "50 0.1 10"},
                    {"+5 100 0", "5 100 0"},
                    {"33.3333333333", "33.333333"},
                    {"99.90000001", "99.9"},
                    {"", ""}};
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        assert_int_equal(SET(fixture, "latency-tracking-info-percentiles", examples[i].given),
                         STATUS_OK);
        configured_expect(fixture->config, "latency-tracking-info-percentiles", examples[i].told);
    }
    char many[CONFIG_TEXT_MAX] = "";
    for (size_t size = 0; size + 3 < sizeof many; size += 3) {
        strcpy(many + size, ".5 "); /* which is longer when told: 0.5 */
    }
    assert_int_equal(SET(fixture, "latency-tracking-info-percentiles", many), STATUS_REFUSED);
    configured_expect(fixture->config, "latency-tracking-info-percentiles", "");
}

static void the_memory_limit_may_be_a_share_of_what_there_is(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(load(fixture, "maxmemory 100%\n"), STATUS_OK);
    int64_t whole = config_number(&fixture->config->maxmemory);
    assert_true(whole > 1024 * 1024);
    assert_int_equal(load(fixture, "maxmemory 25%\n"), STATUS_OK);
    assert_in_range(config_number(&fixture->config->maxmemory), whole / 4 - 100, whole / 4);
    static const char *const lines[] = {"maxmemory 101%\n", "maxmemory 0%\n",   "maxmemory %\n",
                                        "maxmemory -5%\n",  "maxmemory 0.5%\n", "maxmemory abc\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(load(fixture, lines[i]), STATUS_REFUSED);
        const char *why = i == 0   ? "percentage argument must be less or equal to 100"
                          : i == 1 ? "percentage argument must be greater than 0"
                                   : "argument must be a memory or percent value";
        assert_non_null(strstr(fixture->error, why));
    }
}

static void every_eviction_policy_has_its_name(void **state) {
    struct configured *fixture = *state;
    for (int i = 0; i < EVICTION_POLICIES; i++) {
        char line[128];
        snprintf(line, sizeof line, "maxmemory-policy %s\n",
                 eviction_policy_name((enum eviction_policy)i));
        assert_int_equal(load(fixture, line), STATUS_OK);
        assert_int_equal(config_number(&fixture->config->maxmemory_policy), i);
    }
    assert_int_equal(load(fixture, "maxmemory-policy allkeys-lucky\n"), STATUS_REFUSED);
}

static void save_points_add_up_until_an_empty_one(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(load(fixture, "save 900 1\nsave 300 10 60 10000\n"), STATUS_OK);
    configured_expect(fixture->config, "save", "900 1 300 10 60 10000");
    assert_int_equal(load(fixture, "save \"\"\nsave 30 2\n"), STATUS_OK);
    configured_expect(fixture->config, "save", "30 2");
    static const char *const wrong[] = {"save 900\n", "save 0 1\n", "save 1 -1\n", "save a b\n",
                                        "save 9223372036854775807 1\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(load(fixture, wrong[i]), STATUS_REFUSED);
        assert_non_null(strstr(fixture->error, "Invalid save parameters: pairs of seconds and "));
    }
    assert_int_equal(load(fixture, "dbfilename a/b\n"), STATUS_REFUSED);
}

static void a_file_may_include_another_but_not_itself(void **state) {
    struct configured *fixture = *state;
    char line[128];
    configured_write_file(fixture->path, "port 7001\ntimeout 9\n");
    snprintf(line, sizeof line, "port 1\ninclude %s\ntimeout 3\n", fixture->path);
    assert_int_equal(load(fixture, line), STATUS_OK);
    configured_expect(fixture->config, "port", "7001");
    configured_expect(fixture->config, "timeout", "3");
    snprintf(line, sizeof line, "include %s\n", fixture->path);
    configured_write_file(fixture->path, line);
    assert_int_equal(load(fixture, line), STATUS_REFUSED);
    char words[256];
    snprintf(words, sizeof words,
             "%s:1: include: more than 16 deep, at %s: does it include itself?", fixture->path,
             fixture->path);
    assert_string_equal(fixture->error, words);
}

static void an_included_file_that_is_missing_is_told_with_where_it_was_looked_for(void **state) {
    struct configured *fixture = *state;
    char here[PATH_MAX], words[PATH_MAX + 256];
    assert_non_null(getcwd(here, sizeof here));
    snprintf(
        words, sizeof words,
        "sherd.conf:1: include: cannot read none.conf: No such file or directory (in %s, where "
        "the server is started)",
        here);
    assert_int_equal(load(fixture, "include none.conf\n"), STATUS_REFUSED);
    assert_string_equal(fixture->error, words);
}

static void a_value_has_a_longest_length(void **state) {
    struct configured *fixture = *state;
    char line[1200] = "requirepass ";
    memset(line + 12, 'x', CONFIG_TEXT_MAX);
    assert_int_equal(load(fixture, line), STATUS_REFUSED);
    assert_string_equal(fixture->error, "sherd.conf:1: value is longer than 1023 bytes");
    line[12 + CONFIG_TEXT_MAX - 1] = '\0';
    assert_int_equal(load(fixture, line), STATUS_OK);
    assert_string_equal(fixture->config->requirepass, line + 12);
}

/* ---- Flags ----------------------------------------------------------------------------------- */

static void flags_take_one_value_or_several(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(FLAGS(fixture, "--port", "7002", "--bind", "127.0.0.1", "::1", "--save", "",
                           "--timeout=4", "--requirepass", "--secret", "--save", "--hz", "20"),
                     STATUS_OK);
    configured_expect(fixture->config, "port", "7002");
    configured_expect(fixture->config, "bind", "127.0.0.1 ::1");
    configured_expect(fixture->config, "timeout", "4");
    configured_expect(fixture->config, "requirepass", "--secret");
    configured_expect(fixture->config, "hz", "20");
}

static void a_flag_and_its_value_may_be_one_argument(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(FLAGS(fixture, "--maxmemory 700mb", "--port", "7002", "--save 900 1 300 10",
                           "--requirepass 'a secret' ", "--user alice on nopass", "--hz=20"),
                     STATUS_OK);
    configured_expect(fixture->config, "maxmemory", "734003200");
    configured_expect(fixture->config, "port", "7002");
    configured_expect(fixture->config, "save", "900 1 300 10");
    configured_expect(fixture->config, "requirepass", "a secret");
    configured_expect(fixture->config, "hz", "20");
    assert_int_equal(fixture->config->user_lines.count, 1);
    assert_true(bytes_is(fixture->config->user_lines.items[0].text, " alice on nopass"));
}

static void a_flag_and_its_value_in_one_argument_are_left_as_they_came(void **state) {
    struct configured *fixture = *state;
    char flag[] = "--requirepass \"a \\x41\"";
    char *flags[] = {flag};
    assert_int_equal(config_load_flags(fixture->config, 1, flags, fixture->error), STATUS_OK);
    configured_expect(fixture->config, "requirepass", "a A");
    assert_string_equal(flag, "--requirepass \"a \\x41\"");
}

static void what_is_wrong_with_such_an_argument_is_told_with_its_name(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(FLAGS(fixture, "--prot 1"), STATUS_REFUSED);
    assert_string_equal(fixture->error, "--prot: unknown option 'prot' (did you mean 'port'?)");
    assert_int_equal(FLAGS(fixture, "--hz x"), STATUS_REFUSED);
    assert_string_equal(fixture->error, "--hz: argument couldn't be parsed into an integer");
    assert_int_equal(FLAGS(fixture, "--port "), STATUS_REFUSED);
    assert_string_equal(fixture->error, "--port: wrong number of arguments: it takes one");
    assert_int_equal(FLAGS(fixture, "--requirepass \"x"), STATUS_REFUSED);
    assert_string_equal(fixture->error, "--requirepass: unbalanced quotes");
    assert_int_equal(FLAGS(fixture, "--timeout 4", "5"), STATUS_REFUSED);
    assert_string_equal(fixture->error, "5: not an option: options begin with --");
}

static void a_flag_may_include_a_file(void **state) {
    struct configured *fixture = *state;
    configured_write_file(fixture->path, "hz 20\n");
    assert_int_equal(FLAGS(fixture, "--include", fixture->path, "--timeout", "4"), STATUS_OK);
    configured_expect(fixture->config, "hz", "20");
    configured_expect(fixture->config, "timeout", "4");
    assert_int_equal(FLAGS(fixture, "--include", "/nowhere/x.conf"), STATUS_REFUSED);
    assert_string_equal(fixture->error,
                        "--include: cannot read /nowhere/x.conf: No such file or directory");
}

static void what_is_wrong_with_a_flag_is_told_with_its_name(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(FLAGS(fixture, "--prot", "1"), STATUS_REFUSED);
    assert_string_equal(fixture->error, "--prot: unknown option 'prot' (did you mean 'port'?)");
    assert_int_equal(FLAGS(fixture, "--port"), STATUS_REFUSED);
    assert_string_equal(fixture->error, "--port: wrong number of arguments: it takes one");
    assert_int_equal(FLAGS(fixture, "--port", "1", "sherd.conf"), STATUS_REFUSED);
    assert_string_equal(fixture->error,
                        "--port: wrong number of arguments: it takes one (a configuration "
                        "file goes first: sherd FILE --OPTION VALUE ...)");
    assert_int_equal(FLAGS(fixture, "--io=x"), STATUS_REFUSED);
    assert_int_equal(FLAGS(fixture, "port", "1"), STATUS_REFUSED);
    assert_string_equal(fixture->error, "port: not an option: options begin with --");
}

/* ---- CONFIG GET ------------------------------------------------------------------------------ */

struct got {
    char text[512];
};

static void add_got(void *context, struct bytes name, struct bytes value) {
    struct got *got = context;
    size_t size = strlen(got->text);
    snprintf(got->text + size, sizeof got->text - size, "%.*s=%.*s;", (int)name.size, name.data,
             (int)value.size, value.data);
}

static void get_gives_each_match_once(void **state) {
    struct configured *fixture = *state;
    struct bytes patterns[] = {BYTES("TCP-*"), BYTES("tcp-backlog"), BYTES("io"),
                               BYTES("nothing-such")};
    struct got got = {""};
    assert_int_equal(config_get(fixture->config, patterns, 4, add_got, &got), 3);
    assert_string_equal(got.text, "tcp-backlog=511;tcp-keepalive=300;io=auto;");
    assert_int_equal(config_get(fixture->config, patterns, 4, NULL, NULL), 3);
    assert_int_equal(config_get(fixture->config, (struct bytes[]){BYTES("*")}, 1, NULL, NULL),
                     config_option_count);
}

/* ---- CONFIG SET ------------------------------------------------------------------------------ */

static void set_is_all_or_nothing(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(SET(fixture, "timeout", "7", "maxclients", "5", "requirepass", "new"),
                     STATUS_OK);
    configured_expect(fixture->config, "maxclients", "5");
    char password[CONFIG_TEXT_MAX];
    config_copy_text(fixture->config, fixture->config->requirepass, password);
    assert_string_equal(password, "new");
    assert_int_equal(SET(fixture, "timeout", "8", "maxclients", "0"), STATUS_REFUSED);
    configured_expect(fixture->config, "timeout", "7");
    configured_expect(fixture->config, "maxclients", "5");
}

static void set_refuses_in_the_words_of_redis(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(SET(fixture, "timeout", "1", "nope", "2"), STATUS_REFUSED);
    assert_string_equal(fixture->error,
                        "ERR Unknown option or number of arguments for CONFIG SET - 'nope'");
    assert_int_equal(SET(fixture, "maxmemory-polic", "2"), STATUS_REFUSED);
    assert_string_equal(fixture->error,
                        "ERR Unknown option or number of arguments for CONFIG SET - "
                        "'maxmemory-polic' (did you mean 'maxmemory-policy'?)");
    assert_int_equal(SET(fixture, "port", "1"), STATUS_REFUSED);
    assert_string_equal(
        fixture->error,
        "ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config");
    assert_int_equal(SET(fixture, "timeout", "1", "TIMEOUT", "2"), STATUS_REFUSED);
    assert_string_equal(
        fixture->error,
        "ERR CONFIG SET failed (possibly related to argument 'TIMEOUT') - duplicate parameter");
    assert_int_equal(SET(fixture, "hz", "501"), STATUS_REFUSED);
    assert_string_equal(fixture->error,
                        "ERR CONFIG SET failed (possibly related to argument 'hz') - "
                        "argument must be between 1 and 500 inclusive");
    assert_int_equal(SET(fixture, "timeout"), STATUS_REFUSED);
    assert_string_equal(fixture->error, "ERR syntax error");
}

static void set_refuses_text_with_a_nul(void **state) {
    struct configured *fixture = *state;
    struct bytes pair[] = {BYTES("requirepass"), BYTES("a\0b")};
    struct config_request request = {pair, 2, "tests", 1000};
    assert_int_equal(config_set(fixture->config, &request, fixture->error), STATUS_REFUSED);
    configured_expect(fixture->config, "requirepass", "");
}

static void set_of_one_class_leaves_the_others(void **state) {
    struct configured *fixture = *state;
    assert_int_equal(SET(fixture, "client-output-buffer-limit", "pubsub 1mb 0 0 normal 5 4 3"),
                     STATUS_OK);
    configured_expect(fixture->config, "client-output-buffer-limit",
                      "normal 5 4 3 slave 268435456 67108864 60 pubsub 1048576 0 0");
}

static enum status apply_timeout(void *context, struct config *config, char *error) {
    struct configured *fixture = context;
    fixture->applied++;
    if (!fixture->is_refusing) return STATUS_OK;
    fixture->is_refusing = config_number(&config->timeout) == 0;
    snprintf(error, CONFIG_ERROR_MAX, "not today");
    return STATUS_REFUSED;
}

static const struct config_hook timeout_hook[] = {{.option = "timeout", .apply = apply_timeout}};

static void a_hook_is_called_when_its_option_changes(void **state) {
    struct configured *fixture = *state;
    config_attach_hooks(fixture->config, timeout_hook, 1, fixture);
    assert_int_equal(SET(fixture, "timeout", "9"), STATUS_OK);
    assert_int_equal(fixture->applied, 1);
    assert_int_equal(SET(fixture, "timeout", "9"), STATUS_OK);
    assert_int_equal(SET(fixture, "maxclients", "9"), STATUS_OK);
    assert_int_equal(fixture->applied, 1);
}

static void a_hook_that_refuses_undoes_everything(void **state) {
    struct configured *fixture = *state;
    config_attach_hooks(fixture->config, timeout_hook, 1, fixture);
    fixture->is_refusing = true;
    assert_int_equal(SET(fixture, "requirepass", "x", "timeout", "9", "maxclients", "9"),
                     STATUS_REFUSED);
    assert_string_equal(
        fixture->error,
        "ERR CONFIG SET failed (possibly related to argument 'timeout') - not today");
    configured_expect(fixture->config, "requirepass", "");
    configured_expect(fixture->config, "timeout", "0");
    configured_expect(fixture->config, "maxclients", "10000");
    assert_int_equal(fixture->applied, 1); /* it refused, so the old value still holds */
}

/* Never refuses. */
static enum status see_maxclients(void *context, struct config *config, char *error) {
    struct configured *fixture = context;
    (void)error;
    fixture->noted = config_number(&config->maxclients);
    fixture->noted_count++;
    return STATUS_OK;
}

static void what_took_effect_before_a_refusal_is_undone(void **state) {
    struct configured *fixture = *state;
    static const struct config_hook hooks[] = {{"maxclients", see_maxclients},
                                               {"timeout", apply_timeout}};
    config_attach_hooks(fixture->config, hooks, 2, fixture);
    fixture->is_refusing = true;
    assert_int_equal(SET(fixture, "maxclients", "9", "timeout", "9"), STATUS_REFUSED);
    assert_int_equal(fixture->noted_count, 2);
    assert_int_equal(fixture->noted, 10000);
}

static void one_call_applies_all_options_of_a_hook(void **state) {
    struct configured *fixture = *state;
    static const struct config_hook hooks[] = {{"hz", see_maxclients},
                                               {"maxclients", see_maxclients}};
    config_attach_hooks(fixture->config, hooks, 2, fixture);
    assert_int_equal(SET(fixture, "hz", "20", "maxclients", "9"), STATUS_OK);
    assert_int_equal(fixture->noted, 9);
    assert_int_equal(fixture->noted_count, 1);
    assert_int_equal(SET(fixture, "hz", "20", "maxclients", "8"), STATUS_OK); /* hz has it */
    assert_int_equal(fixture->noted, 8);
}

static void set_survives_refused_memory(void **state) {
    struct configured *fixture = *state;
    for (int64_t allowed = 0; allowed < 2; allowed++) {
        memory_refuse_after(allowed);
        assert_int_equal(SET(fixture, "timeout", "9"), STATUS_REFUSED);
        memory_refuse_after(-1);
        configured_expect(fixture->config, "timeout", "0");
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, configured_set_up, configured_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_row_is_whole_and_its_default_valid),
        TEST(groups_are_together),
        TEST(defaults_are_those_of_redis_or_ours),
        TEST(a_file_sets_options_in_every_notation),
        TEST(what_is_wrong_in_a_file_is_told_with_its_place),
        TEST(every_error_is_told_to_whom_asks_for_all),
        TEST(what_we_cannot_do_is_refused_not_ignored),
        TEST(percentiles_are_told_as_numbers_whatever_words_they_came_in),
        TEST(the_memory_limit_may_be_a_share_of_what_there_is),
        TEST(every_eviction_policy_has_its_name),
        TEST(a_file_may_include_another_but_not_itself),
        TEST(an_included_file_that_is_missing_is_told_with_where_it_was_looked_for),
        TEST(save_points_add_up_until_an_empty_one),
        TEST(a_value_has_a_longest_length),
        TEST(flags_take_one_value_or_several),
        TEST(a_flag_and_its_value_may_be_one_argument),
        TEST(a_flag_and_its_value_in_one_argument_are_left_as_they_came),
        TEST(what_is_wrong_with_such_an_argument_is_told_with_its_name),
        TEST(a_flag_may_include_a_file),
        TEST(what_is_wrong_with_a_flag_is_told_with_its_name),
        TEST(get_gives_each_match_once),
        TEST(set_is_all_or_nothing),
        TEST(set_refuses_in_the_words_of_redis),
        TEST(set_refuses_text_with_a_nul),
        TEST(set_of_one_class_leaves_the_others),
        TEST(a_hook_is_called_when_its_option_changes),
        TEST(a_hook_that_refuses_undoes_everything),
        TEST(what_took_effect_before_a_refusal_is_undone),
        TEST(one_call_applies_all_options_of_a_hook),
        TEST(set_survives_refused_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
