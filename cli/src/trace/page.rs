//! The trace as one page: a diagram for each conversation, and each message opened.

use std::fmt::Write as _;

use devid::inspect::{Format, inspect};

use super::{Conversation, Kind, Step};

/// The whole page.
pub(super) fn page(command: &str, conversations: &[Conversation]) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>devid: trace</title>\n<style>{STYLE}</style>\n\
         <h1>{}</h1>\n<p>devid {}</p>\n",
        escape(command),
        env!("CARGO_PKG_VERSION")
    );
    let mut number = 0;
    for one in conversations {
        if let Some(name) = &one.about {
            let _ = writeln!(out, "<h2 class=\"identity\">Identity {}</h2>", escape(name));
        }
        conversation(&mut out, one, &mut number);
    }
    out.push_str("</html>\n");
    out
}

/// One conversation; messages are numbered over the whole page.
fn conversation(out: &mut String, one: &Conversation, number: &mut usize) {
    let class = if one.failure.is_some() { "bad" } else { "good" };
    let words = one.outcome();
    let first = words.lines().next().unwrap_or_default();
    let _ = writeln!(out, "<p class=\"outcome {class}\">{}</p>", escape(first));
    if one.steps.is_empty() {
        out.push_str("<p>Nothing went over the wire.</p>\n");
    } else {
        drawn(out, &one.steps, *number, (class, first));
        out.push_str("<h2>Messages</h2>\n");
        for step in one.steps.iter().filter(|step| step.kind != Kind::Note) {
            *number += 1;
            opened(out, step, *number);
        }
    }
    let _ = writeln!(out, "<h2>Outcome</h2>\n<pre class=\"{class}\">{}</pre>", escape(words));
}

/// The diagram: an arrow for each message, down to what came of it.
fn drawn(out: &mut String, steps: &[Step], before: usize, (class, outcome): (&str, &str)) {
    let end = 60 + steps.len() * 44;
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 900 {}\" role=\"img\" aria-label=\"messages between device and server\">\
         <defs><marker id=\"tip{before}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0L10 5L0 10z\"/></marker></defs>\
         <text x=\"120\" y=\"22\" text-anchor=\"middle\">device</text><text x=\"780\" y=\"22\" text-anchor=\"middle\">server</text>\
         <line class=\"life\" x1=\"120\" y1=\"30\" x2=\"120\" y2=\"{end}\"/><line class=\"life\" x1=\"780\" y1=\"30\" x2=\"780\" y2=\"{end}\"/>",
        end + 40
    );
    let mut id = before;
    for (row, step) in steps.iter().enumerate() {
        let y = 60 + row * 44;
        let (from, to, class) = match step.kind {
            Kind::Sent => (120, 780, "sent"),
            Kind::Received => (780, 120, "received"),
            Kind::Note => {
                let words = escape(&cut(&step.title, 110));
                let _ = writeln!(
                    out,
                    "<text class=\"note\" x=\"450\" y=\"{}\" text-anchor=\"middle\">{words}</text>",
                    y + 4
                );
                continue;
            }
        };
        id += 1;
        let title = escape(&step.title);
        // What fits on an arrow; the rest stands over the opened message.
        let short = escape(&cut(step.title.split(',').next().unwrap_or_default(), 80));
        let _ = writeln!(
            out,
            "<a href=\"#m{id}\"><title>{title}</title><text x=\"450\" y=\"{}\" text-anchor=\"middle\">{short}</text>\
             <line class=\"{class}\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\" marker-end=\"url(#tip{before})\"/></a>\
             <text class=\"time\" x=\"20\" y=\"{y}\">{} ms</text>",
            y - 7,
            step.at_ms
        );
    }
    let outcome = escape(&cut(outcome, 90));
    let _ = writeln!(out, "<text class=\"{class}\" x=\"120\" y=\"{}\">{outcome}</text></svg>", end + 22);
}

/// A message, whole.
fn opened(out: &mut String, step: &Step, id: usize) {
    let words = inspect(&step.message, Format::Text).unwrap_or_else(|e| format!("cannot be read: {e}"));
    let way = if step.kind == Kind::Sent { "sent" } else { "received, shown as it came" };
    let _ = writeln!(
        out,
        "<details><summary>{id}. {} <span>{way}, {} bytes, at {} ms</span></summary>\
         <pre id=\"m{id}\">{}</pre><p>DER: <a download=\"message-{id}.der\" href=\"data:application/pkixcmp;base64,{}\">save</a></p></details>",
        escape(&step.title),
        step.message.len(),
        step.at_ms,
        escape(&words),
        base64(&step.message)
    );
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}\
h1{font-size:1.3rem}h2{font-size:1.1rem}.identity{font-size:1.2rem;border-top:1px solid #bbb;padding-top:1rem;margin-top:2rem}svg{width:100%;font-size:13px}line{stroke-width:1.5}.life{stroke:#bbb}.sent{stroke:#1f6fb4}\
.received{stroke:#2a7d3f}.note,.time{fill:#666;font-size:12px}pre{overflow:auto;background:#f6f6f6;padding:.8rem;font-size:12.5px}\
summary{cursor:pointer}summary span{color:#666;font-size:.85em}.good{color:#2a7d3f;fill:#2a7d3f}.bad{color:#b3261e;fill:#b3261e}";

/// What fits into the diagram; the whole stands below it.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
    }
}

/// Text that others wrote, for a page.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The body of a PEM block without its lines.
fn base64(bytes: &[u8]) -> String {
    devid::asn1::pem::encode("X", bytes).lines().filter(|line| !line.starts_with('-')).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Trace;
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_page_shows_words_of_others_as_words() {
        let mut trace = Trace::new(std::path::Path::new("x.html"), "devid enroll");
        trace.about("<b>");
        trace.waited(3, "<script>alert(1)</script>");
        trace.failed(&Failure::usage("a & b"));
        let page = page("devid enroll", &trace.conversations);
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;") && page.contains("a &amp; b"));
        assert!(!page.contains("<b>") && page.contains("Identity &lt;b&gt;"), "{page}");
    }
}
