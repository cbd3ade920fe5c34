// SQLite in memory: inserts, an index, joins, aggregates, text functions and updates. Scale:
// thousands of rows.
#define kScale 40
#include "bench.h"
#include "sqlite3.h"

static int MixRow(void* hash, int count, char** values, char** names) {
  (void)names;
  for (int i = 0; i < count; ++i) {
    const char* value = values[i] != NULL ? values[i] : "";
    *(uint64_t*)hash = MixBytes(*(uint64_t*)hash, value, strlen(value));
  }
  return 0;
}

static void Run(sqlite3* db, const char* sql, uint64_t* hash) {
  char* message = NULL;
  if (sqlite3_exec(db, sql, MixRow, hash, &message) != SQLITE_OK) {
    fprintf(stderr, "sqlite: %s\n", message);
    abort();
  }
}

static uint64_t Work(int scale) {
  sqlite3* db = NULL;
  uint64_t hash = 0;
  char sql[512];
  if (sqlite3_open(":memory:", &db) != SQLITE_OK) {
    abort();
  }
  // The guest has no folder for temporary files.
  Run(db, "PRAGMA temp_store=MEMORY;", &hash);
  Run(db,
      "CREATE TABLE item(id INTEGER PRIMARY KEY, kind INT, price REAL, name TEXT);"
      "CREATE TABLE sale(id INTEGER PRIMARY KEY, item INT, count INT, note TEXT);",
      &hash);
  snprintf(sql, sizeof sql,
           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d000) "
           "INSERT INTO item SELECT i, (i*7919)%%97, (i*31%%1000)/10.0, "
           "printf('item-%%05d-%%x', i, i*2654435761%%65536) FROM n;",
           scale);
  Run(db, sql, &hash);
  snprintf(
      sql, sizeof sql,
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d000) "
      "INSERT INTO sale SELECT i, (i*48271)%%%d000+1, i%%13+1, substr(hex(i*i),1,8)||'x' FROM n;",
      scale * 2, scale);
  Run(db, sql, &hash);
  Run(db, "CREATE INDEX by_item ON sale(item); CREATE INDEX by_name ON item(name);", &hash);
  Run(db,
      "SELECT kind, count(*), round(sum(price*count),2), max(name), min(note) FROM sale JOIN item "
      "ON item.id=sale.item GROUP BY kind ORDER BY 3 DESC;",
      &hash);
  Run(db, "SELECT count(*) FROM item WHERE name LIKE '%7f%' OR upper(name) GLOB '*-A?*';", &hash);
  Run(db, "UPDATE item SET price=price*1.1 WHERE kind%3=0; DELETE FROM sale WHERE count=5;", &hash);
  Run(db,
      "SELECT a.kind, count(DISTINCT b.note) FROM item a JOIN sale b ON b.item=a.id "
      "WHERE a.price>40 GROUP BY a.kind HAVING count(*)>3 ORDER BY 2, 1 LIMIT 50;",
      &hash);
  Run(db,
      "SELECT sum(length(x)) FROM (SELECT group_concat(name,',') AS x FROM item GROUP BY kind);",
      &hash);
  sqlite3_close(db);
  return hash;
}
