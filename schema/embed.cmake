# cmake -DINPUT=file -DOUTPUT=file.c -DSYMBOL=name -P embed.cmake
# Writes bp_embedded_<name>[] (the bytes and a zero) and bp_embedded_<name>_size.
file(READ "${INPUT}" bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE "${OUTPUT}" "#include <stddef.h>
extern const unsigned char bp_embedded_${SYMBOL}[];
extern const size_t bp_embedded_${SYMBOL}_size;
const unsigned char bp_embedded_${SYMBOL}[] = {
${bytes}0x00};
const size_t bp_embedded_${SYMBOL}_size = sizeof bp_embedded_${SYMBOL} - 1;
")
