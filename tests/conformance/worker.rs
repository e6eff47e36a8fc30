//! Answers validation cases over the packs' protocol: one JSON object a line in, one a line out.

mod case;

use std::io::{BufRead, Write};
use std::time::Instant;

use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let provider = devid::crypto::default_provider();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let start = Instant::now();
        let verdict = case::run(&provider, &request);
        let ns = start.elapsed().as_nanos() as u64;
        let word = if verdict.is_valid { "ok" } else { "fail" };
        let answer = json!({ "id": request["id"], "verdict": word, "detail": verdict.detail, "ns": ns });
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
