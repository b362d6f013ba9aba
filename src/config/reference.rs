//! Writes `docs/configuration.md` from the table. A test holds the page against it; `UPDATE=1` writes it anew.

use super::setting::{Effect, Setting, UpdateMode};
use super::table::{BROKER_SECTIONS, FAMILIES, TOPIC_SETTINGS};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from the table in src/config/table by its test: change the table and run
     `UPDATE=1 cargo test --lib config::reference`. -->

`ringlog serve --config FILE` reads a file in the form and with the names of Apache Kafka's `server.properties`;
`-o key=value` sets one setting more and goes before the file. A setting that isn't known is warned about, with the
known one that looks most like it; a bad value ends the start with code 2. Without a file, `listeners` is
`PLAINTEXT://127.0.0.1:9092` and `group.initial.rebalance.delay.ms` is 0.

Settings that are Kafka's have Kafka 4.3's types and defaults. The last column says where this release differs:

- **no effect**: read and checked, and nothing here depends on it. A start says so.
- **only**: other values refuse to start, or to create the topic.
- **refused**: setting it refuses to start, because it promises what isn't there.

The column *changes* says where a broker's setting may be changed while it runs, with `kafka-configs` or any admin client:
nowhere (*read-only*), on *one broker*, or also on *all brokers* at once. What was set so lies in the metadata log, goes before the
file, and is there after a restart.
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in BROKER_SECTIONS {
        let _ = write!(page, "\n## {}\n\n", section.title);
        table(&mut page, section.settings, true);
    }
    page.push_str("\n## Families of settings\n\nEvery setting whose name begins so:\n\n| prefix | here |\n| --- | --- |\n");
    for family in FAMILIES {
        let _ = writeln!(page, "| `{}*` | {} |", family.prefix, here(&family.effect));
    }
    page.push_str("\n## Topics\n\nSet on a topic when it is created, or changed at any time. What a topic doesn't set it takes from the broker.\n\n");
    table(&mut page, TOPIC_SETTINGS, false);
    page
}

fn table(page: &mut String, settings: &[Setting], of_broker: bool) {
    let (changes, line) = if of_broker {
        (" changes |", " --- |")
    } else {
        ("", "")
    };
    let _ = writeln!(
        page,
        "| setting | value | default |{changes} what it is for | here |"
    );
    let _ = writeln!(page, "| --- | --- | --- |{line} --- | --- |");
    for setting in settings {
        let changes = match of_broker {
            true => format!(" {} |", update(setting.update)),
            false => String::new(),
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |{changes} {} | {} |",
            setting.name,
            setting.expected().replace('|', "\\|"),
            default(setting),
            setting.doc.replace('|', "\\|"),
            here(&setting.effect),
        );
    }
}

fn update(mode: UpdateMode) -> &'static str {
    match mode {
        UpdateMode::ReadOnly => "read-only",
        UpdateMode::PerBroker => "one broker",
        UpdateMode::ClusterWide => "all brokers",
    }
}

fn default(setting: &Setting) -> String {
    if !setting.broker_synonyms.is_empty() {
        let names: Vec<_> = setting
            .broker_synonyms
            .iter()
            .map(|s| format!("`{}`", s.name))
            .collect();
        return names.join(", else ");
    }
    match setting.default {
        None => "none".to_owned(),
        Some("") => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn here(effect: &Effect) -> String {
    match effect {
        Effect::Acted => String::new(),
        Effect::WithoutEffect(why) => format!("**no effect**: {why}"),
        Effect::Only(served, why) => {
            let served: Vec<_> = served.iter().map(|v| format!("`{v}`")).collect();
            format!("**only** {}: {why}", served.join(" or "))
        }
        Effect::Refused(why) => format!("**refused**: {why}"),
    }
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a test reads and rewrites a page of the docs"
)]
fn the_reference_page_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, &page).unwrap();
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == page,
        "docs/configuration.md is behind the table: UPDATE=1 cargo test --lib config::reference"
    );
}
