//! Parsing and merging take time linear in the length of the body, also for hostile bodies.

use std::time::{Duration, Instant};

use super::*;

/// A hundred times the usual duration. Quadratic time would take longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Parses 128 KiB of each fragment below each head, and merges into it.
fn check(format: Format, heads: &[&str], fragments: &[&str]) {
    let ours = content(&[
        (Section::AgentNote, "n"),
        (Section::Result, "r"),
        (Section::AiNote, "a"),
        (Section::Journey, "j"),
    ]);
    for fragment in fragments.iter().chain(&ANYWHERE) {
        for head in heads {
            let started = Instant::now();
            let body = format!("{head}{}", fragment.repeat((1 << 17) / fragment.len()));
            assert_eq!(parse(format, &body).render(), body);
            merge(format, &body, &Fingerprints::default(), &ours);
            merge(
                format,
                &body,
                &ours.fingerprints(),
                &content(&[(Section::AgentNote, "m"), (Section::AiNote, "b")]),
            );
            assert!(started.elapsed() < PATIENCE, "{format:?} {head:?} {fragment:?}");
        }
    }
}

const ANYWHERE: [&str; 5] = ["\n", "a", "a\n", "\u{feff}", "👩‍👩‍👧"];

#[test]
fn hostile_plain_text_takes_linear_time() {
    check(
        Format::Plain,
        &["", "- Note: x\n"],
        &[
            "- Note: x\n",
            "- Note edited in the CRM: x\n",
            "--- NOTE END\n",
            "- Result: x\n",
            "- AI Note:\n",
            "\n- AI Note:\n",
            "- Call journey:\n--- END\n",
            "--- END\n",
        ],
    );
}

#[test]
fn hostile_html_takes_linear_time() {
    check(
        Format::Html,
        &["", "<b>Agent notes</b><br>", "<!-- ", "<!-- --><![CDATA["],
        &[
            "<b>Agent notes</b>",
            "<b>Call details</b>",
            "<b>Call details</b><ul>",
            "<div><b>AI Note</b><br>",
            "<div><b>Note edited in the CRM</b><br>",
            "<p><b>AI Note</b><p>",
            "<li><b>Result</b>: ",
            "<li><p><span>",
            "<li>",
            "<ul>",
            "<div>",
            "<b>",
            "<p>",
            "<br>",
            "<a href=\"",
            "<a href='\">",
            "<",
            "<!--",
            "<!-- -->",
            "<!-- --!>",
            "<!--[if mso]><![endif]-->",
            "<!-- <b>Call details</b> -->",
            "<li><!-- --><b>Result</b><!-- -->: ",
            "<div><!-- -->",
            "<b>Agent notes</b><!-- -->",
            "<b>Call details</b><!-- -->",
            "<!",
            "<!>",
            "<?",
            "<?>",
            "<![CDATA[",
            "<![CDATA[]]>",
            "-",
            "]",
            "&",
            "&#",
            "&#1",
            "&eacute;",
            "&CounterClockwiseContourIntegral",
        ],
    );
}

#[test]
fn hostile_markdown_takes_linear_time() {
    check(
        Format::Markdown,
        &["", "## Agent notes\n", "### AI Note\n"],
        &[
            "## Agent notes\n",
            "## Call details\n",
            "### AI Note\n",
            "### Note edited in the CRM\n",
            "**Result**: ",
            "**Result**: x\n",
            "\\",
            "&amp;",
            "&amp;lt;",
            "amp;",
        ],
    );
}
