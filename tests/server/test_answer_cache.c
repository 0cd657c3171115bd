/* Shared answers: found by every part of the key, forgotten when others come, alive while somebody sends
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/answer_cache.h"

static bp_page_key key_with(uint64_t after)
{
    bp_page_key key;
    memset(&key, 0, sizeof key);
    key.job = 1;
    key.after = after;
    key.limit = 1000;
    key.last = after + 5;
    strcpy(key.fingerprint, "1-0123456789abcdef");
    return key;
}

static bp_shared_text *text_of(const char *content)
{
    bp_shared_text *text = bp_shared_text_create(strdup(content), strlen(content));
    assert_non_null(text);
    return text;
}

static void add(bp_answer_cache *cache, const bp_page_key *key, const char *content)
{
    bp_shared_text *text = text_of(content);
    bp_answer_cache_add(cache, key, text);
    bp_shared_text_release(text);
}

static void expect(bp_answer_cache *cache, const bp_page_key *key, const char *content)
{
    bp_shared_text *text = bp_answer_cache_find(cache, key);
    if (!content) {
        assert_null(text);
        return;
    }
    assert_non_null(text);
    size_t size;
    const char *bytes = bp_shared_text_bytes(text, &size);
    assert_int_equal(size, strlen(content));
    assert_memory_equal(bytes, content, size);
    bp_shared_text_release(text);
}

static void test_every_part_of_the_key_counts(void **state)
{
    (void)state;
    bp_answer_cache *cache;
    assert_int_equal(bp_answer_cache_create(&cache, NULL), BP_OK);
    const bp_page_key key = key_with(10);
    add(cache, &key, "ten");
    expect(cache, &key, "ten");
    bp_page_key other[6];
    for (size_t i = 0; i < 6; i++)
        other[i] = key;
    other[0].job = 2;
    other[1].after = 9;
    other[2].limit = 100;
    other[3].last = 16;
    other[4].complete = 1;
    other[5].fingerprint[17] = 'e';
    for (size_t i = 0; i < 6; i++)
        expect(cache, &other[i], NULL);
    add(cache, &key, "ten again"); /* made by two at once */
    expect(cache, &key, "ten again");
    bp_answer_cache_free(cache);
}

static void test_the_least_used_goes(void **state)
{
    (void)state;
    enum { MANY = 200 };
    bp_answer_cache *cache;
    assert_int_equal(bp_answer_cache_create(&cache, NULL), BP_OK);
    const bp_page_key first = key_with(0);
    add(cache, &first, "first");
    bp_shared_text *held = bp_answer_cache_find(cache, &first);
    for (uint64_t i = 1; i < MANY; i++) {
        const bp_page_key key = key_with(i);
        add(cache, &key, "more");
        expect(cache, &key, "more");
        if (i < MANY / 2)
            expect(cache, &first, "first"); /* in use */
    }
    expect(cache, &first, NULL);
    size_t size;
    assert_memory_equal(bp_shared_text_bytes(held, &size), "first", 5);
    bp_answer_cache_free(cache);
    assert_memory_equal(bp_shared_text_bytes(held, &size), "first", 5);
    bp_shared_text_release(held);
}

static void test_what_is_large_is_not_kept(void **state)
{
    (void)state;
    enum { LARGE = 1 << 20 };
    bp_answer_cache *cache;
    assert_int_equal(bp_answer_cache_create(&cache, NULL), BP_OK);
    const bp_page_key key = key_with(1);
    bp_shared_text *text = bp_shared_text_create(calloc(LARGE, 1), LARGE);
    bp_answer_cache_add(cache, &key, text);
    expect(cache, &key, NULL);
    bp_shared_text_release(text);
    bp_answer_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_part_of_the_key_counts),
        cmocka_unit_test(test_the_least_used_goes),
        cmocka_unit_test(test_what_is_large_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
