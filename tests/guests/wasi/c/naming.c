// Names: path_create_directory, path_remove_directory, path_unlink_file, path_rename.
#include "check.h"
#include "raw.h"

static __wasi_fd_t dir;

static int make(const char* path) {
  return __wasi_path_create_directory(dir, path);
}
static int remove_dir(const char* path) {
  return __wasi_path_remove_directory(dir, path);
}
static int unlink_file(const char* path) {
  return __wasi_path_unlink_file(dir, path);
}
static int rename_to(const char* from, const char* to) {
  return __wasi_path_rename(dir, from, dir, to);
}
static int type(const char* path) {
  return type_of(dir, path);
}
static void symlink_to(const char* target, const char* path) {
  must_errno(__wasi_path_symlink(target, dir, path), path);
}
static const char* long_name(void) {
  static char name[301];
  memset(name, 'n', 300);
  return name;
}

enum {
  kFile = __WASI_FILETYPE_REGULAR_FILE,
  kDir = __WASI_FILETYPE_DIRECTORY,
  kLink = __WASI_FILETYPE_SYMBOLIC_LINK
};

static void creating(void) {
  CASE("path_create_directory", "a directory") {
    ERRNO(make("a"), SUCCESS);
    EQ(type("a"), kDir);
    ERRNO(make("a/b"), SUCCESS);
    ERRNO(make("a/b/c"), SUCCESS);
    EQ(type("a/b/c"), kDir);
  }
  CASE("path_create_directory", "what is there already") {
    put_file(dir, "file", "");
    symlink_to("a", "link");
    symlink_to("nowhere", "dangling");
    ERRNO(make("a"), EXIST);
    ERRNO(make("file"), EXIST);
    ERRNO(make("link"), EXIST);
    ERRNO(make("dangling"), EXIST);
    ERRNO(make("."), EXIST);
  }
  CASE("path_create_directory", "in what is not there") {
    ERRNO(make("missing/x"), NOENT);
    ERRNO(make("file/x"), NOTDIR);
    ERRNO(make(""), NOENT);
  }
  CASE("path_create_directory", "with slashes behind it") {
    ERRNO(make("slash/"), SUCCESS);
    EQ(type("slash"), kDir);
    ERRNO(make("slashes//"), SUCCESS);
    EQ(type("slashes"), kDir);
  }
  CASE("path_create_directory", "through a link and dots") {
    ERRNO(make("link/through"), SUCCESS);
    EQ(type("a/through"), kDir);
    ERRNO(make("a/b/../dots"), SUCCESS);
    EQ(type("a/dots"), kDir);
  }
  CASE("path_create_directory", "outside") {
    ERRNO(make("../x"), PERM);
    ERRNO(make("/tmp/x"), PERM);
    symlink_to("..", "up");
    ERRNO(make("up/x"), PERM);
    EQ(type_of(kRoot, "x"), kNothing);
  }
  CASE("path_create_directory", "names in UTF-8, names that are not, a NUL, a long one") {
    ERRNO(make("\xc3\xa9\xe2\x82\xac"), SUCCESS);
    EQ(type("\xc3\xa9\xe2\x82\xac"), kDir);
    ERRNO(make("bad\xff"), ILSEQ);
    ERRNO(raw_path_create_directory((int)dir, BYTES("nul\0x")), INVAL);
    ERRNO(make(long_name()), NAMETOOLONG);
  }
  CASE("path_create_directory", "in a file, a stream, nothing") {
    __wasi_fd_t file = open_in(dir, "file", 0, READ, 0);
    const int e = __wasi_path_create_directory(file, "x");
    TRUE(e == __WASI_ERRNO_BADF || e == __WASI_ERRNO_NOTDIR);
    ERRNO(__wasi_fd_close(file), SUCCESS);
    ERRNO(__wasi_path_create_directory(0, "x"), BADF);
    ERRNO(__wasi_path_create_directory(777, "x"), BADF);
  }
}

static void removing(void) {
  CASE("path_remove_directory", "an empty directory") {
    ERRNO(make("r"), SUCCESS);
    ERRNO(remove_dir("r"), SUCCESS);
    EQ(type("r"), kNothing);
  }
  CASE("path_remove_directory", "one with something in it") {
    ERRNO(make("full"), SUCCESS);
    put_file(dir, "full/x", "x");
    ERRNO(remove_dir("full"), NOTEMPTY);
    FILE_IS(dir, "full/x", "x");
    ERRNO(unlink_file("full/x"), SUCCESS);
    ERRNO(remove_dir("full"), SUCCESS);
  }
  CASE("path_remove_directory", "a file, what is not there") {
    ERRNO(remove_dir("file"), NOTDIR);
    ERRNO(remove_dir("missing"), NOENT);
    ERRNO(remove_dir("missing/x"), NOENT);
    ERRNO(remove_dir(""), NOENT);
  }
  CASE("path_remove_directory", "a link to a directory") {
    ERRNO(make("target"), SUCCESS);
    symlink_to("target", "tolink");
    ERRNO(remove_dir("tolink"), NOTDIR);
    EQ(type("target"), kDir);
  }
  CASE("path_remove_directory", "with a slash behind it") {
    ERRNO(make("r"), SUCCESS);
    ERRNO(remove_dir("r/"), SUCCESS);
    EQ(type("r"), kNothing);
  }
  CASE("path_remove_directory", "dots") {
    ERRNO(make("dots"), SUCCESS);
    ERRNO(remove_dir("dots/."), INVAL);
    ERRNO(remove_dir("."), INVAL);
    const int e = remove_dir("dots/..");
    TRUE(e != 0);
    EQ(type("dots"), kDir);
    ERRNO(remove_dir("dots"), SUCCESS);
  }
  CASE("path_remove_directory", "outside") {
    MUST(__wasi_path_create_directory(kRoot, "outer"));
    ERRNO(remove_dir("../outer"), PERM);
    ERRNO(remove_dir("up/outer"), PERM);
    ERRNO(remove_dir("/tmp"), PERM);
    EQ(type_of(kRoot, "outer"), kDir);
  }
  CASE("path_remove_directory", "one that is open") {
    ERRNO(make("open"), SUCCESS);
    __wasi_fd_t open = open_dir(dir, "open");
    ERRNO(remove_dir("open"), SUCCESS);
    __wasi_fd_t fd = 0;
    ERRNO(__wasi_path_open(open, 0, "x", CREAT, WRITE, WRITE, 0, &fd), NOENT);
    ERRNO(__wasi_fd_close(open), SUCCESS);
  }
  CASE("path_remove_directory", "in a stream, nothing; a NUL") {
    ERRNO(__wasi_path_remove_directory(0, "x"), BADF);
    ERRNO(__wasi_path_remove_directory(777, "x"), BADF);
    ERRNO(raw_path_remove_directory((int)dir, BYTES("r\0")), INVAL);
  }

  CASE("path_unlink_file", "a file") {
    put_file(dir, "u", "");
    ERRNO(unlink_file("u"), SUCCESS);
    EQ(type("u"), kNothing);
  }
  CASE("path_unlink_file", "one name of two") {
    put_file(dir, "one", "data");
    ERRNO(__wasi_path_link(dir, 0, "one", dir, "two"), SUCCESS);
    ERRNO(unlink_file("one"), SUCCESS);
    FILE_IS(dir, "two", "data");
  }
  CASE("path_unlink_file", "a link, not what it leads to") {
    put_file(dir, "kept", "kept");
    symlink_to("kept", "tokept");
    ERRNO(unlink_file("tokept"), SUCCESS);
    EQ(type("tokept"), kNothing);
    FILE_IS(dir, "kept", "kept");
  }
  CASE("path_unlink_file", "a link that dangles, or leads to a directory or out") {
    symlink_to("nowhere", "u1");
    symlink_to("target", "u2");
    symlink_to("..", "u3");
    ERRNO(unlink_file("u1"), SUCCESS);
    ERRNO(unlink_file("u2"), SUCCESS);
    ERRNO(unlink_file("u3"), SUCCESS);
    EQ(type("target"), kDir);
  }
  CASE("path_unlink_file", "a directory") {
    ERRNO(unlink_file("target"), ISDIR);
    ERRNO(unlink_file("target/"), ISDIR);
    EQ(type("target"), kDir);
  }
  CASE("path_unlink_file", "what is not there") {
    ERRNO(unlink_file("missing"), NOENT);
    ERRNO(unlink_file("missing/x"), NOENT);
    ERRNO(unlink_file("file/x"), NOTDIR);
    ERRNO(unlink_file(""), NOENT);
  }
  CASE("path_unlink_file", "with a slash behind it") {
    put_file(dir, "u", "");
    ERRNO(unlink_file("u/"), NOTDIR);
    EQ(type("u"), kFile);
  }
  CASE("path_unlink_file", "through a link to a directory") {
    put_file(dir, "target/u", "");
    ERRNO(unlink_file("tolink/u"), SUCCESS);
    EQ(type("target/u"), kNothing);
  }
  CASE("path_unlink_file", "outside") {
    put_file(kRoot, "precious", "p");
    ERRNO(unlink_file("../precious"), PERM);
    ERRNO(unlink_file("up/precious"), PERM);
    ERRNO(unlink_file("/etc/passwd"), PERM);
    FILE_IS(kRoot, "precious", "p");
  }
  CASE("path_unlink_file", "in a stream, nothing; a NUL") {
    ERRNO(__wasi_path_unlink_file(0, "u"), BADF);
    ERRNO(__wasi_path_unlink_file(777, "u"), BADF);
    ERRNO(raw_path_unlink_file((int)dir, BYTES("u\0")), INVAL);
    EQ(type("u"), kFile);
  }
}

static void renaming(void) {
  CASE("path_rename", "a file") {
    put_file(dir, "from", "data");
    ERRNO(rename_to("from", "to"), SUCCESS);
    EQ(type("from"), kNothing);
    FILE_IS(dir, "to", "data");
  }
  CASE("path_rename", "a file onto a file: the old one is gone") {
    put_file(dir, "from", "new");
    put_file(dir, "to", "old");
    ERRNO(rename_to("from", "to"), SUCCESS);
    FILE_IS(dir, "to", "new");
    EQ(type("from"), kNothing);
  }
  CASE("path_rename", "what was replaced stays for who has it open") {
    put_file(dir, "to", "old");
    __wasi_fd_t open = open_in(dir, "to", 0, READ, 0);
    put_file(dir, "from", "new");
    ERRNO(rename_to("from", "to"), SUCCESS);
    char text[8];
    __wasi_size_t n = 0;
    ERRNO(read_text(open, text, 8, &n), SUCCESS);
    TEXT(text, n, "old");
    ERRNO(__wasi_fd_close(open), SUCCESS);
  }
  CASE("path_rename", "into another directory, and back") {
    ERRNO(make("sub"), SUCCESS);
    ERRNO(rename_to("to", "sub/to"), SUCCESS);
    FILE_IS(dir, "sub/to", "new");
    ERRNO(rename_to("sub/to", "to"), SUCCESS);
    FILE_IS(dir, "to", "new");
  }
  CASE("path_rename", "from one descriptor's directory into another's") {
    __wasi_fd_t sub = open_dir(dir, "sub");
    put_file(dir, "x", "x");
    ERRNO(__wasi_path_rename(dir, "x", sub, "y"), SUCCESS);
    FILE_IS(sub, "y", "x");
    ERRNO(__wasi_path_rename(sub, "y", dir, "x"), SUCCESS);
    ERRNO(__wasi_fd_close(sub), SUCCESS);
  }
  CASE("path_rename", "onto itself, and onto another link of the same file") {
    put_file(dir, "self", "self");
    ERRNO(rename_to("self", "self"), SUCCESS);
    FILE_IS(dir, "self", "self");
    ERRNO(__wasi_path_link(dir, 0, "self", dir, "self2"), SUCCESS);
    ERRNO(rename_to("self", "self2"), SUCCESS);
    EQ(type("self"), kFile);
    EQ(type("self2"), kFile);
  }
  CASE("path_rename", "a directory with what is in it") {
    ERRNO(make("tree"), SUCCESS);
    put_file(dir, "tree/leaf", "leaf");
    ERRNO(rename_to("tree", "wood"), SUCCESS);
    FILE_IS(dir, "wood/leaf", "leaf");
    EQ(type("tree"), kNothing);
  }
  CASE("path_rename", "a directory onto an empty one, onto a full one") {
    ERRNO(make("empty"), SUCCESS);
    ERRNO(rename_to("wood", "empty"), SUCCESS);
    FILE_IS(dir, "empty/leaf", "leaf");
    ERRNO(make("other"), SUCCESS);
    const int e = rename_to("other", "empty");
    TRUE(e == __WASI_ERRNO_NOTEMPTY || e == __WASI_ERRNO_EXIST);
    FILE_IS(dir, "empty/leaf", "leaf");
  }
  CASE("path_rename", "a directory onto a file, a file onto a directory") {
    ERRNO(rename_to("other", "self"), NOTDIR);
    ERRNO(rename_to("self", "other"), ISDIR);
    EQ(type("self"), kFile);
    EQ(type("other"), kDir);
  }
  CASE("path_rename", "a directory into itself") {
    ERRNO(rename_to("other", "other/below"), INVAL);
    ERRNO(rename_to("other", "other/below/further"), NOENT);
  }
  CASE("path_rename", "a descriptor of a directory goes along") {
    ERRNO(make("old"), SUCCESS);
    __wasi_fd_t old = open_dir(dir, "old");
    ERRNO(rename_to("old", "renamed"), SUCCESS);
    put_file(old, "x", "x");
    FILE_IS(dir, "renamed/x", "x");
    ERRNO(__wasi_fd_close(old), SUCCESS);
  }
  CASE("path_rename", "a link, not what it leads to") {
    symlink_to("self", "alias");
    ERRNO(rename_to("alias", "alias2"), SUCCESS);
    EQ(type("alias2"), kLink);
    EQ(type("self"), kFile);
  }
  CASE("path_rename", "onto a link: the link is replaced") {
    put_file(dir, "from", "data");
    ERRNO(rename_to("from", "alias2"), SUCCESS);
    EQ(type("alias2"), kFile);
    FILE_IS(dir, "self", "self");
  }
  CASE("path_rename", "what is not there, to where nothing is") {
    ERRNO(rename_to("missing", "x2"), NOENT);
    ERRNO(rename_to("self", "missing/x"), NOENT);
    ERRNO(rename_to("self", "file/x"), NOTDIR);
    ERRNO(rename_to("", "x2"), NOENT);
    ERRNO(rename_to("self", ""), NOENT);
  }
  CASE("path_rename", "slashes behind a directory's name") {
    ERRNO(make("s1"), SUCCESS);
    ERRNO(rename_to("s1/", "s2"), SUCCESS);
    ERRNO(rename_to("s2", "s3/"), SUCCESS);
    EQ(type("s3"), kDir);
  }
  CASE("path_rename", "slashes behind a file's name") {
    ERRNO(rename_to("self/", "x2"), NOTDIR);
    ERRNO(rename_to("self", "x2/"), NOTDIR);
    EQ(type("self"), kFile);
  }
  CASE("path_rename", "dots") {
    const int from = rename_to("other/.", "x2");
    TRUE(from == __WASI_ERRNO_BUSY || from == __WASI_ERRNO_INVAL);
    const int to = rename_to("other", ".");
    TRUE(to == __WASI_ERRNO_BUSY || to == __WASI_ERRNO_INVAL || to == __WASI_ERRNO_EXIST ||
         to == __WASI_ERRNO_NOTEMPTY);
    EQ(type("other"), kDir);
  }
  CASE("path_rename", "outside, either way") {
    ERRNO(rename_to("self", "../escaped"), PERM);
    ERRNO(rename_to("../precious", "stolen"), PERM);
    ERRNO(rename_to("self", "up/escaped"), PERM);
    ERRNO(rename_to("up/precious", "stolen"), PERM);
    ERRNO(rename_to("self", "/tmp/escaped"), PERM);
    ERRNO(rename_to("/etc/passwd", "stolen"), PERM);
    EQ(type("self"), kFile);
    EQ(type_of(kRoot, "escaped"), kNothing);
  }
  CASE("path_rename", "in a stream, nothing; a NUL; a long name") {
    ERRNO(__wasi_path_rename(0, "self", dir, "x2"), BADF);
    ERRNO(__wasi_path_rename(dir, "self", 1, "x2"), BADF);
    ERRNO(__wasi_path_rename(777, "self", dir, "x2"), BADF);
    ERRNO(__wasi_path_rename(dir, "self", 777, "x2"), BADF);
    ERRNO(raw_path_rename((int)dir, BYTES("self\0"), (int)dir, BYTES("x2")), INVAL);
    ERRNO(raw_path_rename((int)dir, BYTES("self"), (int)dir, BYTES("x\0y")), INVAL);
    ERRNO(rename_to("self", long_name()), NAMETOOLONG);
    EQ(type("self"), kFile);
  }
  CASE("path_rename", "a thousand times, to and fro") {
    put_file(dir, "p", "steady");
    for (int i = 0; i < 500; ++i) {
      ERRNO(rename_to("p", "sub/q"), SUCCESS);
      ERRNO(rename_to("sub/q", "p"), SUCCESS);
    }
    FILE_IS(dir, "p", "steady");
  }
}

int main(void) {
  MUST(__wasi_path_create_directory(kRoot, "n"));
  dir = open_dir(kRoot, "n");
  creating();
  removing();
  renaming();
  return 0;
}
