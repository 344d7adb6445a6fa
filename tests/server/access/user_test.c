/* Rules to users and back to text, what is wrong with some, and which selector answers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/access/user.h"
#include "shards/base/memory.h"

enum { WORDS_MAX = 64 };

#define HASH_OF_A "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"

static int setup(void **state) {
    *state = command_table_create();
    return *state == NULL;
}
static int teardown(void **state) {
    command_table_destroy(*state);
    return 0;
}

static size_t split(const char *text, struct bytes words[WORDS_MAX]) {
    size_t count = 0;
    while (*text != 0) {
        size_t size = strcspn(text, " ");
        if (size != 0) words[count++] = bytes_of(text, size);
        text += size + (text[size] == ' ');
    }
    return count;
}

static bool apply(struct user *user, const char *rules, const struct command_table *commands,
                  struct user_error *error) {
    struct bytes words[WORDS_MAX];
    return user_apply_all(user, words, split(rules, words), commands, error);
}

static struct user *make(const char *rules, const struct command_table *commands) {
    struct user *user = user_create(BYTES("somebody"), false);
    struct user_error error;
    assert_non_null(user);
    if (!apply(user, rules, commands, &error)) fail_msg("%s: %s", rules, error.reason);
    return user;
}

static void assert_written(const struct user *user, const char *expected) {
    struct text text = {0};
    user_write(user, &text);
    text_add(&text, bytes_of("", 1));
    assert_false(text.has_failed);
    assert_string_equal(text.data, expected);
    text_release(&text);
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* What is written without a password and a flag begins with this. */
#define OFF "off sanitize-payload "
#define ON  "on sanitize-payload "

static const struct {
    const char *rules, *written;
} written[] = {
    {"", OFF "resetchannels -@all"},
    {"on", ON "resetchannels -@all"},
    {"ON nopass ~* &* +@ALL", "on nopass sanitize-payload ~* &* +@all"},
    {"on allkeys allchannels allcommands", ON "~* &* +@all"},
    {"skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all"},
    {"skip-sanitize-payload sanitize-payload", OFF "resetchannels -@all"},
    /* Passwords: by text or hash, each once; nopass forgets them, and one makes an end of nopass. */
    {">a", OFF "#" HASH_OF_A " resetchannels -@all"},
    {">a #" HASH_OF_A, OFF "#" HASH_OF_A " resetchannels -@all"},
    {">b >a <b", OFF "#" HASH_OF_A " resetchannels -@all"},
    {">a !" HASH_OF_A, OFF "resetchannels -@all"},
    {">a nopass", "off nopass sanitize-payload resetchannels -@all"},
    {"nopass >a", OFF "#" HASH_OF_A " resetchannels -@all"},
    {">b nopass resetpass >a", OFF "#" HASH_OF_A " resetchannels -@all"},
    /* Keys: each pattern once, its accesses joined. */
    {"~a* ~b ~a*", OFF "~a* ~b resetchannels -@all"},
    {"%R~a %W~b %RW~c %wr~d", OFF "%R~a %W~b ~c ~d resetchannels -@all"},
    {"%R~a %W~a", OFF "~a resetchannels -@all"},
    {"~a %RW~* %WR~* ~*", OFF "~* resetchannels -@all"},
    {"%R~* %R~a %W~*", OFF "~* resetchannels -@all"},
    {"~a allkeys", OFF "~* resetchannels -@all"},
    {"~* resetkeys ~a", OFF "~a resetchannels -@all"},
    {"~", OFF "~ resetchannels -@all"},
    {"~a~b%", OFF "~a~b% resetchannels -@all"},
    {"%R~~", OFF "%R~~ resetchannels -@all"},
    /* Channels. */
    {"&a &b* &a", OFF "resetchannels &a &b* -@all"},
    {"&a allchannels", OFF "&* -@all"},
    {"&* resetchannels &a", OFF "resetchannels &a -@all"},
    /* Commands: in order; a later rule takes the place of those for the same or a part of it. */
    {"+get +SET", OFF "resetchannels -@all +get +set"},
    {"+get -get", OFF "resetchannels -@all -get"},
    {"-get +set +get", OFF "resetchannels -@all +set +get"},
    {"+config|get +config", OFF "resetchannels -@all +config"},
    {"+config -config|set", OFF "resetchannels -@all +config -config|set"},
    {"+@read -@dangerous +keys", OFF "resetchannels -@all +@read -@dangerous +keys"},
    {"+@read +@read", OFF "resetchannels -@all +@read"},
    {"+get +@all -@admin", OFF "resetchannels +@all -@admin"},
    {"+@all -get -@all", OFF "resetchannels -@all"},
    {"+@all nocommands +get", OFF "resetchannels -@all +get"},
    {"+select|0 +SELECT|1", OFF "resetchannels -@all +select|0 +select|1"},
    {"+select|0 -select", OFF "resetchannels -@all -select"},
    {"+client|id", OFF "resetchannels -@all +client|id"},
    /* Selectors, in one word or several. */
    {"(+get ~a*)", OFF "resetchannels -@all (~a* resetchannels -@all +get)"},
    {"+ping ( ~a* +get ) (&c allkeys)",
     OFF "resetchannels -@all +ping (~a* resetchannels -@all +get) (~* resetchannels &c -@all)"},
    {"()", OFF "resetchannels -@all (resetchannels -@all)"},
    {"(+get) clearselectors (+set)", OFF "resetchannels -@all (resetchannels -@all +set)"},
    /* reset */
    {"on >a ~* &* +@all (+get) skip-sanitize-payload reset", OFF "resetchannels -@all"},
    {"reset on", ON "resetchannels -@all"},
};

static void users_are_written_as_redis_writes_them(void **state) {
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        struct user *user = make(written[i].rules, *state);
        assert_written(user, written[i].written);
        user_release(user);
    }
}

static void what_is_written_makes_the_same_user(void **state) {
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        struct user *user = make(written[i].rules, *state);
        struct user *again = make(written[i].written, *state);
        assert_written(again, written[i].written);
        assert_true(user_equal(user, again));
        assert_int_equal(user->may_all, again->may_all);
        assert_memory_equal(user->root.commands, again->root.commands, sizeof user->root.commands);
        user_release(user);
        user_release(again);
    }
}

static void a_copy_is_equal_and_of_its_own(void **state) {
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        struct user *user = make(written[i].rules, *state);
        struct user *copy = user_copy(user);
        assert_true(copy != NULL && user_equal(user, copy));
        struct user_error error;
        assert_true(apply(copy, "reset on >b ~c +get (+set)", *state, &error));
        assert_written(user, written[i].written);
        user_release(user);
        user_release(copy);
    }
}

/* ---- Mistakes -------------------------------------------------------------------------------- */

static const struct {
    const char *rules, *rule, *reason;
} wrong[] = {
    {"on foo", "foo", "Syntax error"},
    {"+nope", "+nope", "Unknown command or category name in ACL"},
    {"-nope", "-nope", "Unknown command or category name in ACL"},
    {"+", "+", "Unknown command or category name in ACL"},
    {"+@", "+@", "Unknown command or category name in ACL"},
    {"+@nope", "+@nope", "Unknown command or category name in ACL"},
    {"-@nope", "-@nope", "Unknown command or category name in ACL"},
    {"+config|nope", "+config|nope", "Unknown command or category name in ACL"},
    {"+debug|digest", "+debug|digest", "Unknown command or category name in ACL"},
    {"+nope|get", "+nope|get", "Unknown command or category name in ACL"},
    {"-select|0", "-select|0", "Unknown command or category name in ACL"},
    {"+select|", "+select|", "Syntax error"},
    {"+config|", "+config|", "Syntax error"},
    {"+config|get|dir", "+config|get|dir", "Allowing first-arg of a subcommand is not supported"},
    {"+get|key1|key2", "+get|key1|key2", "Unknown command or category name in ACL"},
    {"+select|0|", "+select|0|", "Unknown command or category name in ACL"},
    {"+config|get|dir|x", "+config|get|dir|x", "Unknown command or category name in ACL"},
    {"~* ~a", "~a",
     "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have "
     "any effect. Try 'resetkeys' to start with an empty list of patterns"},
    {"%RW~* %R~a", "%R~a",
     "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have "
     "any effect. Try 'resetkeys' to start with an empty list of patterns"},
    {"allkeys %R~a", "%R~a",
     "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have "
     "any effect. Try 'resetkeys' to start with an empty list of patterns"},
    {"&* &a", "&a",
     "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not "
     "have any effect. Try 'resetchannels' to start with an empty list of channels"},
    {"%~a", "%~a", "Syntax error"},
    {"%", "%", "Syntax error"},
    {"%RW", "%RW", "Syntax error"},
    {"%RR~a", "%RR~a", "Syntax error"},
    {"%RX~a", "%RX~a", "Syntax error"},
    {"<a", "<a", "The password you are trying to remove from the user does not exist"},
    {"!" HASH_OF_A, "!" HASH_OF_A,
     "The password you are trying to remove from the user does not exist"},
    {"#abc", "#abc",
     "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
     "characters"},
    {"!abc", "!abc",
     "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
     "characters"},
    {"(+get", "(+get", "Unmatched parenthesis in acl selector"},
    {"on ( +get ~a", "(", "Unmatched parenthesis in acl selector"},
    {"(+nope)", "(+nope)", "Unknown command or category name in ACL"},
    {"(+get on)", "(+get on)", "Syntax error"},
    {"(+get (~a)", "(+get (~a)", "Syntax error"},
    {"(>a)", "(>a)", "Syntax error"},
    {")", ")", "Syntax error"},
};

static void mistakes_are_told_with_their_rule(void **state) {
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct user *user = user_create(BYTES("somebody"), false);
        struct user_error error = {0};
        assert_false(apply(user, wrong[i].rules, *state, &error));
        assert_string_equal(error.reason, wrong[i].reason);
        assert_string_equal(error.rule, wrong[i].rule);
        user_release(user);
    }
}

/* Such a word would end the selector early when a file is read back. */
static void a_word_of_a_selector_does_not_end_it(void **state) {
    struct user *user = user_create(BYTES("somebody"), false);
    assert_string_equal(user_apply(user, BYTES("(~a) +get)"), *state), "Syntax error");
    user_release(user);
}

static void spaces_are_in_no_pattern(void **state) {
    struct user *user = user_create(BYTES("somebody"), false);
    static const struct bytes patterns[] = {BYTES("~a b"), BYTES("%R~a\tb"), BYTES("&a\nb"),
                                            BYTES("~a\0b"), BYTES("+select|a b")};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        assert_string_equal(user_apply(user, patterns[i], *state), "Syntax error");
    }
    user_release(user);
}

static void passwords_are_not_shown(void **state) {
    (void)state;
    static const char *const rules[] = {">secret", "<secret", "#secret", "!secret"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        assert_int_equal(acl_rule_shown(bytes_of_text(rules[i])).size, 1);
    }
    assert_int_equal(acl_rule_shown(BYTES("+nope")).size, 5);
}

static void acl_pubsub_default_is_where_a_user_and_its_selectors_begin(void **state) {
    struct user *user = user_create(BYTES("somebody"), true);
    assert_written(user, OFF "&* -@all");
    assert_null(user_apply(user, BYTES("resetchannels"), *state));
    assert_null(user_apply(user, BYTES("(+get)"), *state));
    assert_written(user, OFF "resetchannels -@all (&* -@all +get)");
    assert_null(user_apply(user, BYTES("reset"), *state));
    assert_written(user, OFF "&* -@all");
    user_release(user);
}

/* ---- Who may all ----------------------------------------------------------------------------- */

static void to_have_every_command_and_key_is_to_be_asked_nothing(void **state) {
    static const struct {
        const char *rules;
        bool may_all;
    } cases[] = {
        {"+@all ~*", true},
        {"+@all ~* -debug +debug", true},
        {"+@all ~* -debug", false},
        {"+@all ~a*", false},
        {"~*", false},
        {"~a +get (+@all ~*)", true},
        {"(+@all) (~*)", false},
        {"+@all ~* resetkeys", false},
        {"+@all ~* reset", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct user *user = make(cases[i].rules, *state);
        assert_int_equal(user->may_all, cases[i].may_all);
        user_release(user);
    }
}

/* ---- Refused memory -------------------------------------------------------------------------- */

/* Whichever allocation is refused, a user is whole or says that it is not; and nothing is lost. */
static void a_user_that_lacks_a_part_says_so(void **state) {
    static const char rules[] = "on >a ~a* %R~b* &c +@read -mget +select|0 (~x +set) (~y +get)";
    struct user *whole = make(rules, *state);
    bool was_refused = true;
    for (int64_t allowed = 0; was_refused; allowed++) {
        struct user_error error;
        memory_refuse_after(allowed);
        struct user *user = user_create(BYTES("somebody"), false);
        bool is_made = user != NULL && apply(user, rules, *state, &error) && !user->has_failed;
        struct user *copy = is_made ? user_copy(user) : NULL;
        bool is_copied = copy != NULL && !copy->has_failed;
        memory_refuse_after(-1);
        was_refused = !is_copied;
        if (is_made) assert_true(user_equal(user, whole));
        if (is_copied) assert_true(user_equal(copy, whole));
        if (user != NULL && !is_made) assert_true(error.reason == acl_no_memory);
        user_release(user);
        user_release(copy);
    }
    user_release(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_written_as_redis_writes_them),
        cmocka_unit_test(what_is_written_makes_the_same_user),
        cmocka_unit_test(a_copy_is_equal_and_of_its_own),
        cmocka_unit_test(mistakes_are_told_with_their_rule),
        cmocka_unit_test(a_word_of_a_selector_does_not_end_it),
        cmocka_unit_test(spaces_are_in_no_pattern),
        cmocka_unit_test(passwords_are_not_shown),
        cmocka_unit_test(acl_pubsub_default_is_where_a_user_and_its_selectors_begin),
        cmocka_unit_test(to_have_every_command_and_key_is_to_be_asked_nothing),
        cmocka_unit_test(a_user_that_lacks_a_part_says_so),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
