//! The engine under test: a process that answers one message with one (tests/fuzz/fuzz_runner.cc).
use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Runner {
    path: String,
    child: Child,
    /// None: told to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// The proposals that the engine supports.
    pub features: Vec<String>,
    /// Rows of its table of instructions.
    pub opcodes: Vec<String>,
}

/// What the runner is asked.
#[derive(Clone, Copy)]
pub enum Question {
    Verdict = b'v' as isize,
    Run = b'r' as isize,
}

impl Runner {
    pub fn start(path: &str) -> Runner {
        let mut child = Command::new(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut runner = Runner {
            path: path.to_string(),
            child,
            input,
            output,
            features: vec![],
            opcodes: vec![],
        };
        let introduction = runner.receive().expect("the runner's introduction");
        for line in introduction.lines() {
            match line.strip_prefix("feature ") {
                Some(name) => runner.features.push(name.to_string()),
                None => runner.opcodes.push(line.to_string()),
            }
        }
        runner
    }

    /// The answer is `receive`'s. An error shows there too.
    pub fn ask(&mut self, question: Question, module: &[u8]) {
        let mut message = Vec::with_capacity(module.len() + 5);
        message.extend_from_slice(&(module.len() as u32 + 1).to_le_bytes());
        message.push(question as u8);
        message.extend_from_slice(module);
        let input = self.input.as_mut().expect("a process that runs");
        let _ = input.write_all(&message);
    }

    /// None: the process died.
    pub fn receive(&mut self) -> Option<String> {
        let mut size = [0; 4];
        self.output.read_exact(&mut size).ok()?;
        let mut text = vec![0; u32::from_le_bytes(size) as usize];
        self.output.read_exact(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// How the process died; another one takes its place.
    pub fn restart(&mut self) -> String {
        let status = self
            .child
            .wait()
            .map_or("?".to_string(), |status| status.to_string());
        *self = Runner::start(&self.path);
        status
    }
}

/// Waits, so that the process's time counts as ours where somebody measures.
impl Drop for Runner {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}
