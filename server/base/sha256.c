#include "server/base/sha256.h"

void bp_sha256_begin(bp_sha256 *hash)
{
    sha256_init(&hash->context);
}

void bp_sha256_add(bp_sha256 *hash, const void *bytes, size_t count)
{
    sha256_update(&hash->context, count, bytes);
}

void bp_sha256_finish(bp_sha256 *hash, char out[BP_SHA256_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&hash->context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[2 * sizeof digest] = '\0';
}

void bp_sha256_text(char out[BP_SHA256_TEXT_SIZE], const void *bytes, size_t count)
{
    bp_sha256 hash;
    bp_sha256_begin(&hash);
    bp_sha256_add(&hash, bytes, count);
    bp_sha256_finish(&hash, out);
}
