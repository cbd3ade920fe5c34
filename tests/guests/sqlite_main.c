// sqlite DATABASE [SQL…]: opens (or creates) DATABASE, runs each SQL argument in turn, or stdin
// when there is none, and prints rows as columns separated by '|'. An SQL argument "@FILE" runs
// FILE.
//
// Exit codes: 0, 1 an SQL error (message on stderr), 2 the database or a file could not be opened.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

static int PrintRow(void* unused, int count, char** values, char** names) {
  (void)unused;
  (void)names;
  for (int i = 0; i < count; ++i) {
    if (i > 0) {
      fputc('|', stdout);
    }
    fputs(values[i] != NULL ? values[i] : "", stdout);
  }
  fputc('\n', stdout);
  return 0;
}

static char* ReadAll(FILE* file) {
  size_t size = 0;
  size_t capacity = 1 << 16;
  char* text = malloc(capacity);
  size_t got;
  while (text != NULL && (got = fread(text + size, 1, capacity - size - 1, file)) > 0) {
    size += got;
    if (capacity - size < 2) {
      capacity *= 2;
      text = realloc(text, capacity);
    }
  }
  if (text != NULL) {
    text[size] = '\0';
  }
  return text;
}

static int Run(sqlite3* db, const char* sql) {
  char* message = NULL;
  if (sqlite3_exec(db, sql, PrintRow, NULL, &message) != SQLITE_OK) {
    fflush(stdout);
    fprintf(stderr, "sqlite: %s\n", message != NULL ? message : sqlite3_errmsg(db));
    sqlite3_free(message);
    return 1;
  }
  return 0;
}

static int RunFile(sqlite3* db, const char* path) {
  FILE* file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
  if (file == NULL) {
    fprintf(stderr, "sqlite: cannot open %s\n", path);
    return 2;
  }
  char* sql = ReadAll(file);
  int status = sql != NULL ? Run(db, sql) : 2;
  free(sql);
  if (file != stdin) {
    fclose(file);
  }
  return status;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: sqlite DATABASE [SQL|@FILE…]\n");
    return 64;
  }
  sqlite3* db = NULL;
  if (sqlite3_open(argv[1], &db) != SQLITE_OK) {
    fprintf(stderr, "sqlite: %s: %s\n", argv[1], sqlite3_errmsg(db));
    sqlite3_close(db);
    return 2;
  }
  int status = 0;
  if (argc == 2) {
    status = RunFile(db, "-");
  }
  for (int i = 2; i < argc && status == 0; ++i) {
    status = argv[i][0] == '@' ? RunFile(db, argv[i] + 1) : Run(db, argv[i]);
  }
  sqlite3_close(db);
  return status;
}
