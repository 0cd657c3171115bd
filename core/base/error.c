#include "core/base/error.h"

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/base/decimal.h"

/* A text of fixed size under construction; what does not fit is cut. */
typedef struct builder {
    char *at;
    size_t size, length;
} builder;

static void put(builder *text, const char *source, size_t length)
{
    size_t room = text->size - 1 - text->length;
    if (length > room)
        length = room;
    memcpy(text->at + text->length, source, length);
    text->length += length;
}

static void put_string(builder *text, const char *string)
{
    if (!string)
        string = "(null)";
    put(text, string, strlen(string));
}

static void put_unsigned(builder *text, unsigned long long value)
{
    char digits[sizeof value * CHAR_BIT / 3 + 1];
    size_t first = sizeof digits;
    do
        digits[--first] = (char)('0' + value % 10);
    while (value /= 10);
    put(text, digits + first, sizeof digits - first);
}

static void put_signed(builder *text, long long value)
{
    unsigned long long magnitude = (unsigned long long)value;
    if (value < 0) {
        put(text, "-", 1);
        magnitude = 0 - magnitude;
    }
    put_unsigned(text, magnitude);
}

static void put_double(builder *text, double value)
{
    char digits[BP_DECIMAL_SIZE];
    put(text, digits, bp_decimal_format(digits, value));
}

/* The length modifiers that bp_error_set supports. */
typedef enum length_modifier { PLAIN, SIZE, LONG_LONG } length_modifier;

static void put_format(builder *text, const char *format, va_list arguments)
{
    while (*format) {
        size_t plain = strcspn(format, "%");
        put(text, format, plain);
        format += plain;
        if (!*format)
            break;
        format++;
        length_modifier modifier = PLAIN;
        if (format[0] == 'z') {
            modifier = SIZE;
            format++;
        } else if (format[0] == 'l' && format[1] == 'l') {
            modifier = LONG_LONG;
            format += 2;
        }
        switch (*format) {
        case 's':
            put_string(text, va_arg(arguments, const char *));
            break;
        case 'd':
            if (modifier == LONG_LONG)
                put_signed(text, va_arg(arguments, long long));
            else if (modifier == SIZE)
                put_signed(text, va_arg(arguments, ptrdiff_t));
            else
                put_signed(text, va_arg(arguments, int));
            break;
        case 'u':
            if (modifier == LONG_LONG)
                put_unsigned(text, va_arg(arguments, unsigned long long));
            else if (modifier == SIZE)
                put_unsigned(text, va_arg(arguments, size_t));
            else
                put_unsigned(text, va_arg(arguments, unsigned));
            break;
        case 'g':
            put_double(text, va_arg(arguments, double));
            break;
        case '%':
            put(text, "%", 1);
            break;
        default: /* the size of the argument is unknown, so what follows cannot be read */
            put_string(text, "(unsupported conversion)");
            return;
        }
        format++;
    }
}

/* A text cut inside a UTF-8 sequence would not be valid JSON; drops the piece of a character. */
static void finish(builder *text)
{
    bool full = text->length == text->size - 1;
    size_t tail = 0; /* continuation bytes at the end */
    while (full && tail < 3 && tail < text->length &&
           ((unsigned char)text->at[text->length - 1 - tail] & 0xc0) == 0x80)
        tail++;
    if (full && tail < text->length) {
        unsigned char lead = (unsigned char)text->at[text->length - 1 - tail];
        size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
        if (wanted > tail)
            text->length -= tail + 1;
    }
    text->at[text->length] = '\0';
}

const char *bp_status_text(bp_status status)
{
    switch (status) {
#define BP_STATUS_TEXT(name, text)                                                                 \
    case BP_##name:                                                                                \
        return text;
        BP_STATUS_LIST(BP_STATUS_TEXT)
#undef BP_STATUS_TEXT
    }
    return "unknown status";
}

bp_status(bp_error_set)(bp_error *error, bp_status status, const char *where, const char *format,
                        ...)
{
    if (!error || error->status != BP_OK)
        return status;
    error->status = status;
    builder text = {.at = error->where, .size = sizeof error->where};
    put_string(&text, where ? where : "");
    finish(&text);

    text = (builder){.at = error->message, .size = sizeof error->message};
    va_list arguments;
    va_start(arguments, format);
    put_format(&text, format, arguments);
    va_end(arguments);
    finish(&text);
    return status;
}
