//! `inspect`: any structure as text or JSON.

use devid::inspect::{Format, inspect};

use crate::arguments::Inspect;
use crate::device::read_file;
use crate::failure::{Exit, Failure};
use crate::output::{Output, print};

pub fn run(command: &Inspect, output: Output) -> Result<Exit, Failure> {
    let format = if output.json { Format::Json } else { Format::Text };
    let text = inspect(&read_file(&command.file)?, format)?;
    print(if text.ends_with('\n') { text } else { text + "\n" }.as_str());
    Ok(Exit::Done)
}
