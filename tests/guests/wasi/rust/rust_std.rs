// Rust's standard library on WASI: files, directories, links, times, streams, the environment. Prints a line a case, as c/check.h
// does: "ok rust std: CASE" or "FAIL rust std: CASE: WHY".
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Outcome = Result<(), String>;

fn case(name: &str, run: impl FnOnce() -> Outcome) {
    match run() {
        Ok(()) => println!("ok rust std: {name}"),
        Err(why) => println!("FAIL rust std: {name}: {}", why.replace('\n', " ")),
    }
}

fn text(error: io::Error) -> String {
    format!("{:?}", error.kind())
}

macro_rules! equal {
    ($got:expr, $want:expr) => {
        match (&$got, &$want) {
            (got, want) if *got != *want => {
                return Err(format!("{} is {:?}, not {:?}", stringify!($got), got, want));
            }
            _ => {}
        }
    };
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn files(dir: &Path) {
    case("write and read a file", || {
        fs::write(dir.join("a"), b"hello").map_err(text)?;
        equal!(fs::read_to_string(dir.join("a")).map_err(text)?, "hello");
        Ok(())
    });
    case("append", || {
        let mut file = OpenOptions::new().append(true).open(dir.join("a")).map_err(text)?;
        file.write_all(b" world").map_err(text)?;
        equal!(fs::read(dir.join("a")).map_err(text)?, b"hello world");
        Ok(())
    });
    case("create_new refuses what is there", || {
        equal!(kind(File::create_new(dir.join("a"))), Some(ErrorKind::AlreadyExists));
        Ok(())
    });
    case("truncate", || {
        OpenOptions::new().write(true).truncate(true).open(dir.join("a")).map_err(text)?;
        equal!(fs::metadata(dir.join("a")).map_err(text)?.len(), 0);
        Ok(())
    });
    case("what is not there", || {
        equal!(kind(File::open(dir.join("none"))), Some(ErrorKind::NotFound));
        equal!(kind(fs::metadata(dir.join("none/x"))), Some(ErrorKind::NotFound));
        equal!(kind(fs::remove_file(dir.join("none"))), Some(ErrorKind::NotFound));
        Ok(())
    });
    case("seek, read, write in one file", || {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(dir.join("s")).map_err(text)?;
        file.write_all(b"0123456789").map_err(text)?;
        equal!(file.seek(SeekFrom::Start(3)).map_err(text)?, 3);
        let mut part = [0; 4];
        file.read_exact(&mut part).map_err(text)?;
        equal!(&part, b"3456");
        equal!(file.seek(SeekFrom::End(-2)).map_err(text)?, 8);
        file.write_all(b"xyz").map_err(text)?;
        equal!(file.stream_position().map_err(text)?, 11);
        equal!(kind(file.seek(SeekFrom::Current(-100))), Some(ErrorKind::InvalidInput));
        file.rewind().map_err(text)?;
        let mut all = String::new();
        file.read_to_string(&mut all).map_err(text)?;
        equal!(all, "01234567xyz");
        Ok(())
    });
    case("set_len and sync", || {
        let file = OpenOptions::new().write(true).open(dir.join("s")).map_err(text)?;
        file.set_len(4).map_err(text)?;
        file.sync_all().map_err(text)?;
        file.sync_data().map_err(text)?;
        equal!(fs::read(dir.join("s")).map_err(text)?, b"0123");
        Ok(())
    });
    case("a file's times", || {
        let file = OpenOptions::new().write(true).open(dir.join("s")).map_err(text)?;
        let time = UNIX_EPOCH + Duration::new(1_000_000_000, 5);
        file.set_times(fs::FileTimes::new().set_modified(time).set_accessed(time)).map_err(text)?;
        let status = file.metadata().map_err(text)?;
        equal!(status.modified().map_err(text)?, time);
        equal!(status.accessed().map_err(text)?, time);
        Ok(())
    });
    case("buffered lines", || {
        let mut out = io::BufWriter::new(File::create(dir.join("lines")).map_err(text)?);
        for i in 0..10000 {
            writeln!(out, "line {i}").map_err(text)?;
        }
        drop(out);
        let lines = BufReader::new(File::open(dir.join("lines")).map_err(text)?).lines().count();
        equal!(lines, 10000);
        Ok(())
    });
    case("copy", || {
        equal!(fs::copy(dir.join("lines"), dir.join("copy")).map_err(text)?, 98890);
        equal!(fs::read(dir.join("lines")).map_err(text)?, fs::read(dir.join("copy")).map_err(text)?);
        Ok(())
    });
    case("vectored reads and writes are whole", || {
        let mut file = File::create(dir.join("v")).map_err(text)?;
        let parts = [io::IoSlice::new(b"ab"), io::IoSlice::new(b""), io::IoSlice::new(b"cde")];
        equal!(file.write_vectored(&parts).map_err(text)?, 5);
        let (mut a, mut b) = ([0; 2], [0; 3]);
        let mut slices = [io::IoSliceMut::new(&mut a), io::IoSliceMut::new(&mut b)];
        equal!(File::open(dir.join("v")).map_err(text)?.read_vectored(&mut slices).map_err(text)?, 5);
        equal!((a, b), (*b"ab", *b"cde"));
        Ok(())
    });
}

fn directories(dir: &Path) {
    case("create_dir_all, read_dir", || {
        fs::create_dir_all(dir.join("x/y/z")).map_err(text)?;
        fs::write(dir.join("x/file"), b"").map_err(text)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(dir.join("x")).map_err(text)? {
            let entry = entry.map_err(text)?;
            let folder = entry.file_type().map_err(text)?.is_dir();
            names.push((entry.file_name().into_string().unwrap(), folder));
        }
        names.sort();
        equal!(names, [("file".to_string(), false), ("y".to_string(), true)]);
        Ok(())
    });
    case("read_dir of 500 names", || {
        fs::create_dir(dir.join("many")).map_err(text)?;
        for i in 0..500 {
            File::create(dir.join(format!("many/name-{i:04}-{}", "x".repeat(i % 50)))).map_err(text)?;
        }
        equal!(fs::read_dir(dir.join("many")).map_err(text)?.count(), 500);
        Ok(())
    });
    case("remove_dir refuses what is full", || {
        // The library has no kind for it here.
        equal!(fs::remove_dir(dir.join("x")).err().and_then(|error| error.raw_os_error()), Some(55));
        equal!(kind(fs::remove_file(dir.join("x"))), Some(ErrorKind::IsADirectory));
        equal!(kind(fs::remove_dir(dir.join("x/file"))), Some(ErrorKind::NotADirectory));
        Ok(())
    });
    case("remove_dir_all", || {
        fs::remove_dir_all(dir.join("x")).map_err(text)?;
        fs::remove_dir_all(dir.join("many")).map_err(text)?;
        equal!(fs::exists(dir.join("x")).map_err(text)?, false);
        Ok(())
    });
    case("rename a file, a directory", || {
        fs::write(dir.join("from"), b"moved").map_err(text)?;
        fs::create_dir(dir.join("d1")).map_err(text)?;
        fs::rename(dir.join("from"), dir.join("d1/to")).map_err(text)?;
        fs::rename(dir.join("d1"), dir.join("d2")).map_err(text)?;
        equal!(fs::read(dir.join("d2/to")).map_err(text)?, b"moved");
        equal!(kind(fs::rename(dir.join("d2"), dir.join("d2/below"))), Some(ErrorKind::InvalidInput));
        Ok(())
    });
    case("hard links", || {
        fs::hard_link(dir.join("d2/to"), dir.join("linked")).map_err(text)?;
        fs::write(dir.join("linked"), b"both").map_err(text)?;
        equal!(fs::read(dir.join("d2/to")).map_err(text)?, b"both");
        Ok(())
    });
    case("a path that leaves the directory", || {
        equal!(kind(File::open("../../etc/passwd")).is_some(), true);
        equal!(kind(fs::write("../../escaped", b"")).is_some(), true);
        Ok(())
    });
    case("a name with a NUL", || {
        equal!(kind(File::open(dir.join("a\0b"))), Some(ErrorKind::InvalidInput));
        Ok(())
    });
    case("a file as a directory", || {
        equal!(kind(File::open(dir.join("linked/x"))), Some(ErrorKind::NotADirectory));
        equal!(kind(fs::read_dir(dir.join("linked"))), Some(ErrorKind::NotADirectory));
        Ok(())
    });
    case("a directory as a file", || {
        equal!(kind(File::create(dir.join("d2"))), Some(ErrorKind::IsADirectory));
        Ok(())
    });
}

fn process() {
    case("arguments", || {
        equal!(std::env::args().skip(1).collect::<Vec<_>>(), ["a", "", "b c"]);
        Ok(())
    });
    case("variables", || {
        equal!(std::env::var("NAME").as_deref(), Ok("value = x"));
        equal!(std::env::var("NONE").is_err(), true);
        Ok(())
    });
    case("standard input", || {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(text)?;
        equal!(line, "first line\n");
        line.clear();
        io::stdin().read_to_string(&mut line).map_err(text)?;
        equal!(line, "second");
        Ok(())
    });
    case("clocks", || {
        let start = Instant::now();
        std::thread::sleep(Duration::from_millis(15));
        equal!(start.elapsed() >= Duration::from_millis(15), true);
        equal!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() > 1_672_531_200, true);
        Ok(())
    });
    case("random hashes", || {
        use std::hash::{BuildHasher, RandomState};
        equal!(RandomState::new().hash_one(1) == RandomState::new().hash_one(2), false);
        Ok(())
    });
}

fn main() {
    let dir = Path::new("/rust");
    fs::create_dir(dir).expect("a directory");
    files(dir);
    directories(dir);
    process();
}
