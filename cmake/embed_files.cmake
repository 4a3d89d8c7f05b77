# SPDX-License-Identifier: Apache-2.0
# Run by embed(): writes OUTPUT from the files in INPUTS (separated by '|').
string(REPLACE "|" ";" inputs "${INPUTS}")
set(hex "")
foreach(input IN LISTS inputs)
  file(READ "${input}" part HEX)
  string(APPEND hex "${part}")
endforeach()
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," body "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" body
                     "${body}")
file(WRITE "${OUTPUT}"
     "/* Generated; do not edit. */\n#include <stddef.h>\n"
     "extern const unsigned char ${SYMBOL}[];\nextern const size_t ${SYMBOL}_size;\n"
     "const unsigned char ${SYMBOL}[] = {\n${body}0x00};\n"
     "const size_t ${SYMBOL}_size = sizeof(${SYMBOL}) - 1;\n")
