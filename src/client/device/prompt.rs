//! A secret that is asked for at the terminal, without showing what is typed. However that ends, the terminal is as it was.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::secret::MAX_BYTES;
use super::wrong;
use crate::codes::Code;
use crate::error::Error;
use crate::transport::Cancel;

const CTRL_C: u8 = 3;
const CTRL_BACKSLASH: u8 = 28;

/// How long a switch that was thrown may go unseen.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS_AFTER_SIGNAL: u32 = 10;

static ENDS: OnceLock<Cancel> = OnceLock::new();

/// The terminal that somebody is asked at, and how it was before.
static ASKING: Mutex<Option<(File, Termios)>> = Mutex::new(None);

fn asking() -> MutexGuard<'static, Option<(File, Termios)>> {
    ASKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a switch of the process end each wait for what somebody types. The first one counts.
pub fn end_prompts_by(cancel: &Cancel) {
    let _ = ENDS.set(cancel.clone());
}

/// Gives the terminal its echo back where somebody is being asked: for who ends the process meanwhile.
pub fn give_terminal_back() {
    if let Some((terminal, before)) = asking().take() {
        let _ = tcsetattr(terminal.as_fd(), OptionalActions::Flush, &before);
        let _ = writeln!(&terminal);
    }
}

/// Gives it back however the asking ends.
struct Asking;

impl Drop for Asking {
    fn drop(&mut self) {
        give_terminal_back();
    }
}

/// Asks. Ctrl-C is a letter meanwhile, which ends the line: a signal would leave the terminal without its echo. It is sent once that is back.
///
/// Errors: [`Code::Cancelled`] at Ctrl-C, and where the switch of [`end_prompts_by`] is thrown.
pub(super) fn ask(what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let none = || wrong(format!("prompt: there is no terminal to ask for {what}"));
    let opened = File::options().read(true).write(true).open("/dev/tty").ok();
    let mut terminal = opened.filter(IsTerminal::is_terminal).ok_or_else(none)?;
    let failed = |e: std::io::Error| wrong(format!("prompt: {e}"));
    let before = tcgetattr(terminal.as_fd()).map_err(|e| failed(e.into()))?;
    let mut hidden = before.clone();
    hidden.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
    hidden.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
    hidden.special_codes[SpecialCodeIndex::VEOL2] = CTRL_BACKSLASH;
    *asking() = Some((terminal.try_clone().map_err(failed)?, before));
    let back = Asking;
    tcsetattr(terminal.as_fd(), OptionalActions::Flush, &hidden).map_err(|e| failed(e.into()))?;
    let _ = write!(terminal, "{what}: ");
    let _ = terminal.flush();
    let interrupted = || Error::new(Code::Cancelled, format!("interrupted at the prompt for {what}"));
    let typed = line(&mut terminal);
    drop(back);
    match typed.map_err(failed)? {
        None => Err(interrupted()),
        Some(line) if line.ends_with(&[CTRL_C]) || line.ends_with(&[CTRL_BACKSLASH]) => {
            // What the terminal would have done. Whoever handles it has a moment for that: what follows would go on with the answer.
            let _ = kill_current_process_group(Signal::INT);
            for _ in 0..LOOKS_AFTER_SIGNAL {
                if ENDS.get().is_some_and(Cancel::is_cancelled) {
                    break;
                }
                std::thread::sleep(LOOK);
            }
            Err(interrupted())
        }
        Some(line) if line.iter().any(|byte| *byte < b' ' && *byte != b'\t') => {
            Err(wrong(format!("prompt: a control character stands in what was typed as {what}")))
        }
        Some(line) => Ok(line),
    }
}

/// One line, without its newline, and with the letter that ended it otherwise; `None`: the switch was thrown.
fn line(terminal: &mut File) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    let slice = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos() as _ };
    let mut line = Zeroizing::new(Vec::with_capacity(256));
    while (line.len() as u64) < MAX_BYTES {
        loop {
            if ENDS.get().is_some_and(Cancel::is_cancelled) {
                return Ok(None);
            }
            match poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&slice)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut byte = [0; 1];
        match terminal.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if matches!(byte[0], CTRL_C | CTRL_BACKSLASH) {
            break;
        }
    }
    Ok(Some(line))
}
