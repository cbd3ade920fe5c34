// UTF-8 at the edges of table 3-7 of the Unicode standard.
#include "engine/binary/utf8.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace wasmd::engine {
namespace {

TEST(Utf8Test, Accepts) {
  for (const std::string_view text :
       {"", "plain", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "exactly8\xc3\xa9 and more"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  EXPECT_TRUE(IsUtf8(std::string_view("nul\0inside", 10)));
}

TEST(Utf8Test, Refuses) {
  for (const std::string_view text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f", "\xc2\xc0", "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xe1\x80", "\xe1\x80\x7f", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "\xf1\x80\x80", "longer than eight \xc3"}) {
    EXPECT_FALSE(IsUtf8(text)) << testing::PrintToString(std::string(text));
    EXPECT_FALSE(IsUtf8("12345678" + std::string(text)));
  }
}

}  // namespace
}  // namespace wasmd::engine
